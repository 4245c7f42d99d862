"""A guest that moves to another host: what the two hosts tell each other of it."""
