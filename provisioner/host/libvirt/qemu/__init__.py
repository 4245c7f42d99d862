"""QEMUs that no libvirt watches: found in /proc, asked and ended by their own monitors."""
