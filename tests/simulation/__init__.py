"""vmnet on a model of a host: every seed is a story of commands, kills, failures, strangers."""
