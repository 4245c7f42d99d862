"""Inside guests: agent, consoles, files, SSH host keys."""
