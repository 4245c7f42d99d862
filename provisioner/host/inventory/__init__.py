"""Reads all plans of a host at once: their folders, processes and devices."""
