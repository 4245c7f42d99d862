"""vmnet boot: plans that come back when the host boots."""
