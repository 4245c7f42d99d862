"""Completion for shells, from an index of the commands: typer's import would take too long."""
