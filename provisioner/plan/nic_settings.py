"""The settings that hold for a NIC: its own, else its network's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.plan.mac import Mac

if TYPE_CHECKING:
    from provisioner.plan.choices import Mode, SpoofGuard, Vhost
    from provisioner.plan.model import Network, Nic, Plan
    from provisioner.plan.nic_id import NicId
    from provisioner.plan.problem import Path

DEFAULT_MTU = 1500
"""Bytes: of a switch that the plan says nothing of, and of an uplink that nobody knows."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class NicSettings:
    """The settings that hold for one NIC; `mtu` in bytes, None leaves it to the uplink.

    What the mode has no use for has the value that changes nothing: `promisc` is true outside
    passthru, `allow` is empty outside source mode.
    """

    mode: Mode
    promisc: bool
    allow: tuple[str, ...]  # MACs, vm:NAME and "host", as the plan has them
    spoof_guard: SpoofGuard
    ether_types: tuple[str, ...]  # that strict lets through besides, as nft reads them
    isolate: tuple[str, ...]  # whose frames are dropped: MACs and "plan"
    queues: int
    vhost: Vhost
    txqueuelen: int  # frames
    mtu: int | None


def settings_of(plan: Plan, nic: Nic) -> NicSettings:
    """Return the settings that hold for a NIC: its own, else those of its network.

    Raises KeyError if the plan has no such network.
    """
    return settings_on(plan.network(nic.network), nic)


def settings_on(network: Network, nic: Nic) -> NicSettings:
    """Return the settings that hold for a NIC of this network."""
    mode = nic.mode or network.mode
    return NicSettings(
        mode=mode,
        promisc=_first(nic.promisc, network.promisc) or not mode.is_exclusive,
        allow=_first(nic.allow, network.allow) if mode.has_source_list else (),
        spoof_guard=_first(nic.spoof_guard, network.spoof_guard),
        ether_types=_first(nic.ether_types, network.ether_types),
        isolate=_first(nic.isolate, network.isolate),
        queues=_first(nic.queues, network.queues),
        vhost=_first(nic.vhost, network.vhost),
        txqueuelen=_first(nic.txqueuelen, network.txqueuelen),
        mtu=_first(nic.mtu, network.mtu),
    )


def may_meet(one: Network, other: Network) -> bool:
    """Return whether frames of one network may come to another: each switch is a wire of its own.

    Two NICs of a host may be on one LAN.
    """
    return one is other or not (one.switch or other.switch)


def decided_at(key: NicId, nic: Nic, setting: str) -> Path:
    """Return the path of the key that decides a setting: the NIC's own, else its network's."""
    home = key.path if getattr(nic, setting) is not None else ("networks", nic.network)
    return (*home, setting)


def mac_of(plan: Plan, key: NicId, nic: Nic) -> Mac:
    """Return the MAC that a NIC has by the plan: its own, else a derived one.

    The device may have another: see `takes_uplink_mac`, and granted devices.
    """
    return nic.mac or Mac(naming.mac(plan.name, *key))


def _first(own: _T | None, otherwise: _T) -> _T:
    return otherwise if own is None else own
