"""A network of a plan as one of libvirt's, for domains that are no guests of the plan."""

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Final

from provisioner.errors import VmnetError
from provisioner.network.devices import uplink_of
from provisioner.plan.choices import Mode

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan

_MODES: Final = {
    Mode.BRIDGE: "bridge",
    Mode.PRIVATE: "private",
    Mode.VEPA: "vepa",
    Mode.PASSTHRU: "passthrough",
}
"""What libvirt calls the modes; it has none of source lists."""


def libvirt_network(plan: "Plan", network: "Network") -> str:
    """Write the XML for `virsh net-define`: libvirt makes macvtaps of that mode on the same uplink.

    Raises VmnetError for mode source, which libvirt does not have, and for devices of root's.
    """
    if network.mode not in _MODES or network.granted:
        what = "devices of vmnet net" if network.granted else f"mode {network.mode}"
        raise VmnetError(
            f"{network.name} has {what}, which no network of libvirt's can have",
            fix="name another network with --network",
        )
    root = ET.Element("network")
    ET.SubElement(root, "name").text = f"{plan.name}-{network.name}"
    forward = ET.SubElement(root, "forward", mode=_MODES[network.mode])
    ET.SubElement(forward, "interface", dev=uplink_of(plan.name, network))
    if network.mtu:
        ET.SubElement(root, "mtu", size=str(network.mtu))
    ET.indent(root)
    return ET.tostring(root, "unicode") + "\n"
