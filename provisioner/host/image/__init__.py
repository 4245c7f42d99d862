"""The image store: import, unpack, copies in use."""
