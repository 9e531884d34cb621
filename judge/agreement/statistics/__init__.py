"""Formulas on plain arrays: agreement coefficients, correlations, the bootstrap."""
