"""Where data lies: paths and patterns of this machine, and URLs of files elsewhere."""
