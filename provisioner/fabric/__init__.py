"""Several hosts that run one plan: what is known of each, and where VMs go. Pure."""
