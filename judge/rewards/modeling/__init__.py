"""What computes a reward: backbone, attention, encoders, heads, feature bank, gate."""
