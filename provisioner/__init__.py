"""vmnet: boot libvirt VMs attached straight to macvtap devices.

cli talks, commands join, host does, everything else decides.
"""

__version__ = "0.1.0"
