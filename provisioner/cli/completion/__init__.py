"""Completion for shells, which must be there before a finger is off the key."""
