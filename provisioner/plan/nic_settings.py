"""How one NIC is attached to its network: what it says itself, else what its network says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from provisioner.plan.model import Mode, Network, Nic, SpoofGuard, Vhost

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Attachment:
    """The settings that hold for one NIC; `mtu` in bytes, None leaves it to the uplink.

    What the mode has no use for has the value that changes nothing: `promisc` is true outside
    passthru, `allow` is empty outside source mode.
    """

    mode: Mode
    promisc: bool
    allow: tuple[str, ...]  # MACs, vm:NAME and "host", as the plan has them
    spoof_guard: SpoofGuard
    queues: int
    vhost: Vhost
    txqueuelen: int  # frames
    mtu: int | None


def of(network: Network, nic: Nic) -> Attachment:
    """Give the settings that hold for a NIC of a network."""
    mode = nic.mode or network.mode
    return Attachment(
        mode=mode,
        promisc=_first(nic.promisc, network.promisc) or mode != "passthru",
        allow=_first(nic.allow, network.allow) if mode == "source" else (),
        spoof_guard=_first(nic.spoof_guard, network.spoof_guard),
        queues=_first(nic.queues, network.queues),
        vhost=_first(nic.vhost, network.vhost),
        txqueuelen=_first(nic.txqueuelen, network.txqueuelen),
        mtu=_first(nic.mtu, network.mtu),
    )


def _first(mine: _T | None, others: _T) -> _T:
    return others if mine is None else mine
