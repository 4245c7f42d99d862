"""Asks before an address is used whether somebody uses it already (RFC 5227, RFC 4862 style).

Two ways at once: out to the LAN, and by a synthetic wire to the guests on the same uplink, which
belong to other plans or to nobody vmnet knows, and which the host's own stack cannot reach.
"""

import math
import select
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from provisioner.errors import VmnetError
from provisioner.host.probe.ingress_injector import SyntheticWire
from provisioner.host.probe.neighbours import watch_through
from provisioner.host.probe.packet_socket import Wire
from provisioner.network.frames import Answer, arp_request
from provisioner.plan.ip import Address

_PROBES: Final = 4


@dataclass(frozen=True, slots=True)
class Owners:
    """Who holds addresses that are wanted: MACs of others than those that are to have them.

    `deaf` says why guests on the same uplink could not be asked, "" when they were.
    """

    macs: Mapping[Address, str]
    deaf: str = ""


@dataclass(frozen=True, slots=True)
class Claims:
    """All MACs that have answered for each address, in order; silent addresses are absent.

    `deaf` says why guests on the same uplink could not be asked, "" when they were.
    """

    macs: Mapping[Address, tuple[str, ...]]
    deaf: str = ""


def conflicts(uplink: str, wanted: Mapping[Address, str], deadline_s: float) -> Owners:
    """Ask on an uplink who holds the `wanted` addresses; their values are the planned MACs.

    Takes what `claims` takes, and raises what it raises.
    """
    found = claims(uplink, wanted, deadline_s)
    others = {
        address: [mac for mac in macs if mac != wanted[address].lower()]
        for address, macs in found.macs.items()
    }
    return Owners({address: macs[0] for address, macs in others.items() if macs}, found.deaf)


def claims(uplink: str, wanted: Mapping[Address, str], deadline_s: float) -> Claims:
    """Ask on an uplink who answers for the `wanted` addresses; their values are the planned MACs.

    Each is asked for about four times within `deadline_s` seconds (0.6 to 1 is enough for a LAN);
    it ends earlier only when all planned MACs have answered themselves. IPv4 is asked for from
    0.0.0.0, which no receiver may store, IPv6 never from `::`, which would take its address from a
    guest that is just booting. Raises VmnetError as `host.wire.Wire` does.
    """
    if not wanted:
        return Claims({})
    planned: dict[Address, str | None] = {x: mac.lower() for x, mac in wanted.items()}
    with ExitStack() as stack:
        ways = _Ways(stack, uplink)
        seen = dict(watch_through(ways, planned, deadline_s, every_s=deadline_s / _PROBES))
    return Claims({address: answer.macs for address, answer in seen.items()}, ways.deaf)


class _Ways:
    """The LAN and the guests on the uplink, asked and heard as one."""

    def __init__(self, stack: ExitStack, uplink: str) -> None:
        lan = stack.enter_context(Wire(uplink))
        self._mac = lan.mac
        self._all: list[Wire | SyntheticWire] = [lan]
        self.deaf = ""
        try:
            self._all.append(stack.enter_context(SyntheticWire(uplink)))
        except VmnetError as error:
            self.deaf = error.what
        self._poll = select.poll()
        for each in self._all:
            self._poll.register(each, select.POLLIN)

    def request(self, target: Address) -> bytes:
        """Build the frame that asks for an address."""
        if target.version == 4:  # noqa: PLR2004
            return arp_request(target, self._mac)
        return self._all[0].request(target)

    def send(self, frame: bytes) -> None:
        """Send one frame every way."""
        for each in self._all:
            each.send(frame)

    def answers(self, wait_s: float) -> list[Answer]:
        """Give what was answered, at most `wait_s` seconds from now."""
        self._poll.poll(math.ceil(wait_s * 1000))
        return [answer for each in self._all for answer in each.answers(0)]
