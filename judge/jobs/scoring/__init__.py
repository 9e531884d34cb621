"""Models that score texts, as jobs and the Python interface hold them."""
