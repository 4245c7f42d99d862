"""A user's own domain XML template, filled in by a fenced child process."""
