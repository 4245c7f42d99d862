"""The network configuration that a guest is given: cloud-init's version 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provisioner.network.addressing import NicConfig


EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
"""Where a default route leads, by IP version."""


def network_config(nics: Sequence[NicConfig]) -> str:
    """Render cloud-init's network-config version 2: JSON on one line, which is YAML too.

    NICs are identified by their MACs: interface names differ from guest to guest.
    """
    import json

    ethernets = {f"nic{number}": _ethernet(nic) for number, nic in enumerate(nics)}
    whole = {"version": 2, "ethernets": ethernets}
    return json.dumps(whole, sort_keys=True, separators=(",", ":"))


def _ethernet(nic: NicConfig) -> dict[str, object]:
    entry: dict[str, object] = {
        "match": {"macaddress": nic.mac},
        "dhcp4": nic.dhcp,
        "accept-ra": nic.ra,
    }
    if nic.dhcp:
        return entry | ({"mtu": nic.mtu} if nic.mtu else {})
    if nic.addresses:
        entry["addresses"] = [str(one) for one in nic.addresses]
    if nic.gateways:
        # Not `default`: no cloud-init before 23.1 knows that word, and Debian 12 has 22.4.
        entry["routes"] = [{"to": EVERYWHERE[one.version], "via": str(one)} for one in nic.gateways]
    if nic.dns:
        entry["nameservers"] = {"addresses": [str(one) for one in nic.dns]}
    if nic.mtu:
        entry["mtu"] = nic.mtu
    return entry


def changed_nics(before: str, now: str) -> dict[str, Mapping[str, object]]:
    """Compare two network-configs; return the entry of each NIC that is new or changed, by MAC."""
    import json

    def nics(text: str) -> dict[str, Mapping[str, object]]:
        whole = json.loads(text)["ethernets"] if text else {}
        return {nic["match"]["macaddress"]: nic for nic in whole.values()}

    old = nics(before)
    return {mac: nic for mac, nic in nics(now).items() if old.get(mac) != nic}
