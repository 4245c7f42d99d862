"""Commands about hosts that run plans together."""
