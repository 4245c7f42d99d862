"""Decisions about guests: boot, seed, cloud-init, SSH, what an agent answers."""
