"""Processes, files, folders, locks, privileges."""
