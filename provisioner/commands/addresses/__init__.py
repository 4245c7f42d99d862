"""Addresses that guests will take: asked for before a frame of theirs is on the wire."""
