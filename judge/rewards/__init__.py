"""Reward models: distilled from labels, calibrated, saved so that other tools load them, and used to score."""
