"""Frames sent and received on the host: probes, captures, listeners."""
