"""Reward models that others made and published, read as their makers read them."""
