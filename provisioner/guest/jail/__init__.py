"""What keeps a guest's QEMU from others, as far as it can be told without a host."""
