"""Trying a constitution out on a judge: on a sample, against people, against another constitution, on its examples."""
