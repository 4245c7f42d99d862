"""Findings about the host: kernel, libvirt, network, CI."""
