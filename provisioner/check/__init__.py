"""Results of a check, evidence, and readiness of guests."""
