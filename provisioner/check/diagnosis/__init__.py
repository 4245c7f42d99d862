"""From evidence to the cause of a failed measurement."""
