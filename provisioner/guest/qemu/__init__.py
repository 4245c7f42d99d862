"""What QEMU is told of a guest besides its domain, and what it takes of the host."""
