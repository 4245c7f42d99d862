"""libvirt: connections, domains, privileges."""
