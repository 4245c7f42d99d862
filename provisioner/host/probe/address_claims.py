"""Ask before an address is used whether somebody uses it already (RFC 5227, RFC 4862 style).

Two ways at once: out to the LAN, and by a synthetic wire to the guests on the same uplink, which
belong to other plans or to nobody vmnet knows, and which the host's own stack cannot reach.
"""

import math
import select
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import field
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.probe.ingress_injector import SyntheticWire
from provisioner.host.probe.neighbours import watch
from provisioner.host.probe.packet_socket import Wire
from provisioner.network.frames import Answer
from provisioner.plan.ip import Address
from provisioner.plan.mac import Mac

_PROBES: Final = 4


@dataclass(frozen=True, slots=True)
class Claims:
    """All MACs that have answered for each address, in order; silent addresses are absent.

    `here` are those of them that have answered by the synthetic wire, so are behind this uplink.
    `unreached` says why guests on the same uplink could not be asked, "" when they were.
    """

    macs: Mapping[Address, tuple[str, ...]]
    unreached: str = ""
    here: Mapping[Address, AbstractSet[str]] = field(default_factory=dict)

    def others(self, owners: Mapping[Address, Collection[str]]) -> dict[Address, str]:
        """Return who has addresses besides their `owners`, who may: the first MAC of each.

        A guest may answer for an address on any of its NICs, with the MAC of that one.
        """
        others = {
            address: [mac for mac in macs if mac not in owners[address]]
            for address, macs in self.macs.items()
        }
        return {address: macs[0] for address, macs in others.items() if macs}


def claims(uplink: str, wanted: Mapping[Address, Mac], deadline_s: float) -> Claims:
    """Ask on an uplink who answers for the `wanted` addresses; their values are the planned MACs.

    Each is asked for about four times within `deadline_s` seconds (0.6 to 1 is enough for a LAN);
    it ends earlier only when all planned MACs have answered themselves. IPv4 is asked for from
    0.0.0.0, which no receiver may store, IPv6 never from `::`, which would take its address from a
    guest that is just booting. Raises VmnetError as `Wire` does.
    """
    if not wanted:
        return Claims({})
    with ExitStack() as stack:
        ways = _Ways(stack, uplink)
        seen = dict(watch(ways, wanted, deadline_s, every_s=deadline_s / _PROBES))
    macs = {address: answer.macs for address, answer in seen.items()}
    return Claims(macs, ways.unreached, ways.here)


class _Ways:
    """The LAN and the guests on the uplink, used as one."""

    def __init__(self, stack: ExitStack, uplink: str) -> None:
        lan = stack.enter_context(Wire(uplink, anonymous=True))
        self.request = lan.request
        self._wires = [lan]
        self.unreached = ""
        self.here: dict[Address, set[str]] = {}
        try:
            self._wires.append(stack.enter_context(SyntheticWire(uplink)))
        except VmnetError as error:
            self.unreached = error.what
        self._poll = select.poll()
        for wire in self._wires:
            self._poll.register(wire, select.POLLIN)

    def send(self, frame: bytes) -> None:
        """Send one frame every way."""
        for wire in self._wires:
            wire.send(frame)

    def answers(self, wait_s: float) -> list[Answer]:
        """Return what was answered, at most `wait_s` seconds from now."""
        self._poll.poll(math.ceil(wait_s * 1000))
        found = list(self._wires[0].answers(0))
        for wire in self._wires[1:]:
            for answer in wire.answers(0):
                self.here.setdefault(answer.address, set()).add(answer.mac)
                found.append(answer)
        return found
