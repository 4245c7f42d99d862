"""vmnet move: a guest goes to another host; receive is what the other host does."""
