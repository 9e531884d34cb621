"""Published benchmarks, each by its own protocol."""
