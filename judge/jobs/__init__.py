"""One verb a file: what the Python API and the command line both call."""
