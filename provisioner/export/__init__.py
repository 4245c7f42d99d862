"""A plan written down for other programs, each in the form that its own reader takes."""
