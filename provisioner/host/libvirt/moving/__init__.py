"""libvirt on both sides of a guest that moves to another host."""
