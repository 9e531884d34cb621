"""Rubrics: written by hand or by a model, checked, tried on a judge, and measured against people."""
