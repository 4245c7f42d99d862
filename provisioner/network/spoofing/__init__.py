"""What a guest may send at `spoof_guard: strict`, and what of it nobody can know."""
