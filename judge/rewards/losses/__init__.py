"""Every loss and regularizer, by the name of its paper."""
