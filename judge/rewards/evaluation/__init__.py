"""How good a reward model is: metrics, calibration, red flags, curves, the model card."""
