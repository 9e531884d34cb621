"""Rewards at work: judges as rewards, best of n, search by steps."""
