"""vmnet move and receive."""
