"""Rewards of new texts: scoring, best of n, external process reward models, other loaders."""
