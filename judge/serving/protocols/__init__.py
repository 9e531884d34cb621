"""What requests and responses look like, a protocol a file."""
