"""vmnet for pytest: labs in fixtures, and why a test has failed in its report."""
