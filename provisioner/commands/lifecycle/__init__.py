"""The life of guests: taken away, stopped, started."""
