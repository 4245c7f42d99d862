"""A Debian guest with cloud-init: a disk for BIOS and UEFI, its kernel and initrd beside it."""
