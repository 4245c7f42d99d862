"""What keeps a guest's QEMU from other guests and from the host."""
