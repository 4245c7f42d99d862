"""How a guest configures its NICs, as files of systemd-networkd: for guests without cloud-init."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provisioner.network.addressing import NicConfig

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.plan.model import Plan


def files(plan: "Plan", nics: "Nics", vm: str) -> dict[str, str]:
    """Return the text of a file for each NIC of a VM, by the file's name."""
    found = {}
    for key, nic in plan.nics():
        if key.vm == vm:
            name = f"10-vmnet-{key.number}-{nic.network}.network"
            found[name] = "\n".join(_lines(plan.nic_name(key), nics[key])) + "\n"
    return found


def _lines(name: str, nic: NicConfig) -> Iterator[str]:
    yield f"# Made by vmnet export networkd: {name}"
    yield "[Match]"
    yield f"MACAddress={nic.mac}"
    if nic.mtu:
        yield from ("[Link]", f"MTUBytes={nic.mtu}")
    yield "[Network]"
    yield f"DHCP={'ipv4' if nic.dhcp else 'no'}"
    yield f"IPv6AcceptRA={'yes' if nic.ra else 'no'}"
    if nic.dhcp:
        return
    yield from (f"Address={one}" for one in nic.addresses)
    yield from (f"Gateway={one}" for one in nic.gateways)
    yield from (f"DNS={one}" for one in nic.dns)
