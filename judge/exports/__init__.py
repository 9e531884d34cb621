"""Training data out of runs: what a run's judgements teach, filtered, balanced, split, in the formats of trainers."""
