"""Runs: the loop, the journal and the manifest; how a plan becomes a run directory."""
