"""What a command does about hosts that run plans together."""
