"""vmnet snapshot: guests saved at one moment, and put back to it."""
