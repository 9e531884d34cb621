"""The shipped constitutions, `<name>.yaml`: principles that a judge is held to."""
