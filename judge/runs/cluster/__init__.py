"""A run on many machines: the driver reads and writes, workers judge what they are handed."""
