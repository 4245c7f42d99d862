"""Plans that are written for a host."""
