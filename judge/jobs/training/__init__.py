"""What trains a reward model: labels, the trainer, evaluation while it runs, sweeps."""
