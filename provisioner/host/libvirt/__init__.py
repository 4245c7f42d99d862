"""libvirt: connections, domains, hotplug."""
