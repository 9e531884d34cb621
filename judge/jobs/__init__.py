"""The verbs, one a file: what the Python API and the command line both call."""
