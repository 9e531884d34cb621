"""The verbs of rewards at work."""
