"""What one of several hosts gets of a plan."""
