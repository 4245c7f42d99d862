"""A guest that moves to another host: libvirt at both ends, and the way between them."""
