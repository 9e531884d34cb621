"""Labelled records to tensors: examples, soft labels, tokens, batches, targets."""
