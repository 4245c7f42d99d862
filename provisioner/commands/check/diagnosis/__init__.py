"""Gather what can be seen around red cells, and have it diagnosed."""
