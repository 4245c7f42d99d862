"""A plan as objects of an engine that runs VMs itself: KubeVirt, Incus."""
