"""vmnet: boot libvirt VMs attached straight to macvtap devices.

cli talks, flow joins, host does, core decides.
"""

__version__ = "0.1.0"
