"""What this host tells others about itself."""
