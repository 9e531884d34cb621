"""Rows of runs and of human labels, read into columns and tables."""
