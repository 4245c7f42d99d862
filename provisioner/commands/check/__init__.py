"""The check: waiting for guests, measuring, collecting evidence, diagnosing."""
