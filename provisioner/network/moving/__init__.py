"""What tells a LAN where a guest that has moved is now."""
