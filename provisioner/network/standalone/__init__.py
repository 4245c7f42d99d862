"""Devices without a plan (`vmnet net`), and those that root has granted."""
