"""Parts of a plan besides its networks and VMs."""
