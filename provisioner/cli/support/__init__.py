"""What is passed on to whoever mends a bug."""
