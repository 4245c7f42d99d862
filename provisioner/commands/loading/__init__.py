"""How a plan becomes what commands are about."""
