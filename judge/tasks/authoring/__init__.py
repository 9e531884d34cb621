"""Tasks that write what others judge by."""
