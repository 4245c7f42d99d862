"""What there is to look at while it happens."""
