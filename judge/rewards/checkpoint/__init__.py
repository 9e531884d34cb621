"""Model directories: saved whole, loaded back, and readable by transformers."""
