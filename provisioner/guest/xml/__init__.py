"""The domain XML: rendered, parsed, checked against the allowlist and the plan."""
