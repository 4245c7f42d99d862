"""On which of several hosts the VMs of a plan may be."""
