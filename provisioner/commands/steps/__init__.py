"""The steps of a command, judged before the first is taken."""
