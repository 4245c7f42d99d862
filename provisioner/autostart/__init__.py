"""What brings plans back when the host boots: texts of systemd's units and of libvirt's hook."""
