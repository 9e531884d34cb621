"""Constitutions: principles that a judge is held to, their YAML and its lint."""
