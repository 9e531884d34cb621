"""How far a reward model can be trusted on other data and under edits: gaps, length, probes, the worst of k edits."""
