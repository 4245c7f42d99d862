"""Decisions about images: catalogue, sources, digests, disk formats."""
