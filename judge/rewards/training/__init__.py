"""The visible loop, its optimizers, its log, and how it resumes."""
