"""Reward models: distilled from labels, calibrated, saved so that other tools load them, and used to score.

Stands on rows alone; it refuses to know judges, prompts and engines.
"""
