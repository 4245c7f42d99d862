"""Disks, seeds and copies of files for guests."""
