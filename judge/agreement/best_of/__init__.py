"""What taking the best of n responses by a reward is worth: curves against n, beside pass@n and votes."""
