"""The plan: its types and the values that it is made of."""
