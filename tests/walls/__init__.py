"""What a QEMU that its guest has taken over can do to others."""
