"""The network configuration that a guest is given: cloud-init's version 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

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
    old = _nics(before)
    return {mac: nic for mac, nic in _nics(now).items() if old.get(mac) != nic}


def changed_mtus(before: str, now: str) -> set[str]:
    """Compare two network-configs; return the MACs of the NICs of which the MTU alone differs."""
    old = _nics(before)
    return {
        mac
        for mac, nic in changed_nics(before, now).items()
        if mac in old and _without_mtu(old[mac]) == _without_mtu(nic)
    }


def told_mtus(text: str) -> dict[str, int]:
    """Return the MTUs that a network-config tells a guest, by MAC."""
    return {mac: mtu for mac, nic in _nics(text).items() if isinstance(mtu := nic.get("mtu"), int)}


def difference(want: str, have: str) -> str:
    """Return what differs between two network-configs: which NIC is to have which MTU, or more."""
    if not (mtus := changed_mtus(have, want)) or mtus != changed_nics(have, want).keys():
        return "network configuration has changed"
    nics = _nics(want)
    return ", ".join(
        f"its NIC {mac} has to be told its MTU, {nics[mac].get('mtu', 'as it was at first')}"
        for mac in sorted(mtus)
    )


def _nics(text: str) -> dict[str, dict[str, object]]:
    import json

    try:
        whole = json.loads(text)["ethernets"] if text else {}
        return {nic["match"]["macaddress"]: nic for nic in whole.values()}
    except (ValueError, TypeError, KeyError):
        return {}  # of another version


def _without_mtu(nic: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in nic.items() if name != "mtu"}


def without(text: str, macs: Collection[str]) -> str:
    """Return a network-config without the entries of these NICs."""
    import json

    if not text or not macs:
        return text
    whole = json.loads(text)
    kept = {k: v for k, v in whole["ethernets"].items() if v["match"]["macaddress"] not in macs}
    if len(kept) == len(whole["ethernets"]):
        return text
    whole["ethernets"] = kept
    return json.dumps(whole, sort_keys=True, separators=(",", ":"))
