"""What each command does, readable from top to bottom."""
