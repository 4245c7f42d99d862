"""The oracle with real guests: pings typed at their consoles, tcpdump at every device."""

import itertools
import os
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from typing import Final

from tests.framework.lab import until
from tests.framework.stage import Stage
from tests.host_tools.namespace import Namespace
from tests.oracle.capture import Capture, Heard, captured
from tests.oracle.guest_grammar import VMS
from tests.oracle.guest_plan import Console, script
from tests.oracle.host_pings import HostPings
from tests.oracle.light_lab import HOST, LAN, STATION_MAC
from tests.oracle.packets import EVERYBODY, Address, Kind, Packet, built
from tests.oracle.truth import Cell, Truth

_ROUND_S: Final = 20.0  # three tries of a second, in an emulated guest on a busy host
_HOST_S: Final = 1.5
_FORGOTTEN_S: Final = 3.0
_VERSIONS: Final = (4, 6)
_ENDS: Final = range(len(VMS))
_EVERYBODY: Final = (*_ENDS, LAN, HOST)
_STATION = {4: ip_address("10.90.0.250"), 6: ip_address("fd90::250")}
_CRIER = {4: ip_address("10.90.0.251"), 6: ip_address("fd90::251")}
_HOST = {4: ip_address("10.90.0.253"), 6: ip_address("fd90::253")}
_LAN = {4: ip_address("10.90.0.254"), 6: ip_address("fd90::254")}


class GuestOracle:
    """Asks all guests again and again."""

    def __init__(self, stage: Stage, host: Namespace, lan: Namespace, heard: list[Capture]) -> None:
        self._stage = stage
        self._host, self._lan = host, lan
        self._at_host, self._at_lan = heard
        self._rounds = itertools.count(1)
        links = stage.lab.macvtaps()
        self._taps = {links[stage.known[f"tap {vm}"]]: end for end, vm in enumerate(VMS)}
        with host.entered():
            self._uplink = socket.if_nametoindex(stage.wire.name)
        self._macs = {_packed(stage.known[f"mac {vm}"]): end for end, vm in enumerate(VMS)}
        host_mac = stage.host("cat /sys/class/net/<nic>/address").strip()
        self._asked = {**self._macs, _packed(host_mac): HOST}
        self._consoles = [Console(stage.qemu(vm)) for vm in VMS]
        for vm in VMS:  # an agent that a seed has stopped may take a moment
            until(lambda: _is_written(stage, vm), f"the script is in {vm}")  # noqa: B023

    def close(self) -> None:
        """Hang up."""
        for console in self._consoles:
            console.close()

    def address(self, end: int, version: int) -> Address:
        """Return an address of an end."""
        if end in _ENDS:
            return ip_address(self._stage.known[f"{'ip' if version == 4 else 'ip6'} {VMS[end]}"])
        return (_HOST if end == HOST else _LAN)[version]

    def asked(self) -> Truth:
        """Let everybody ping everybody now."""
        number = next(self._rounds)
        self._at_host.since()
        self._at_lan.since()
        for end, console in enumerate(self._consoles):
            others = [x for x in _EVERYBODY if x != end]
            asked = [str(self.address(x, version)) for x in others for version in _VERSIONS]
            console.types(f"sh /run/oracle.sh {number} {_byte(end):x} {' '.join(asked)}")
        self._knock()
        answers: dict[int, set[Address] | None] = {HOST: self._by_host()}
        until = time.monotonic() + _ROUND_S
        for end, console in enumerate(self._consoles):
            said = console.pinged(number, until)
            answers[end] = None if said is None else {ip_address(one) for one in said}
        return self._concluded(answers, self._at_host.since(), self._at_lan.since())

    def forget(self) -> None:
        """Empty all neighbour caches: what is known from before a fault hides it for a while."""
        number = next(self._rounds)
        for console in self._consoles:
            console.types(f"sh /run/oracle.sh {number} 0")
        for run in (self._stage.host, self._stage.lan):
            run("ip neigh flush all")
        until = time.monotonic() + _FORGOTTEN_S
        for console in self._consoles:
            console.pinged(number, until)

    def _by_host(self) -> set[Address]:
        head = b"\0\1\0\1"
        asked = {
            self.address(x, version): head + bytes([_byte(HOST)]) * 16
            for x in (*_ENDS, LAN)
            for version in _VERSIONS
        }
        with self._host.entered(), HostPings(asked) as pings:
            return pings.answered(_HOST_S)

    def _knock(self) -> None:
        """Ask each guest and the host from the LAN for its MAC, alone and with everybody."""
        told = _packed(STATION_MAC)
        with self._lan.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("far", 0))
            for _ in range(3):  # some may be lost
                for mac, end in self._asked.items():
                    for version in _VERSIONS:
                        for asker, to in ((_STATION, mac), (_CRIER, EVERYBODY)):
                            target = self.address(end, version)
                            sent = Packet(Kind.WHO_HAS, asker[version], target, told, to, told)
                            with suppress(OSError):  # it is down
                                wire.send(built(sent))

    def _concluded(
        self,
        answers: dict[int, set[Address] | None],
        host: Collection[Heard],
        lan: Collection[Heard],
    ) -> Truth:
        places = [(self._taps[x.index], x) for x in host if x.index in self._taps]
        places += [(HOST, x) for x in host if x.index == self._uplink]
        places += [(LAN, x) for x in lan]
        heard = {
            (place, x.packet.kind, x.goes_out, x.packet.payload[-1:], own)
            for place, x in places
            for own in (x.packet.source, x.packet.target)
        }
        reached: set[Cell] = set()
        by_another: set[Cell] = set()
        for source, answered in answers.items():
            for cell in self._cells(source, answered or ()):
                byte = bytes([_byte(source)])
                at = self.address(cell.target, cell.version)
                both = ((Kind.ECHO, False), (Kind.REPLY, True))
                own = all((cell.target, kind, out, byte, at) in heard for kind, out in both)
                (reached if own else by_another).add(cell)
        returned = {
            (x.packet.source, x.packet.target)
            for x in lan
            if x.packet.kind is Kind.IS_AT and not x.goes_out
        }
        alive = {
            asker[4]: frozenset(
                (end, version)
                for end in (*_ENDS, HOST)
                for version in _VERSIONS
                if (self.address(end, version), asker[version]) in returned
            )
            for asker in (_STATION, _CRIER)
        }
        others = {(LAN, cell.version) for cell in reached if cell.target == LAN}
        others |= {(HOST, cell.version) for cell in reached if cell.source == HOST}
        return Truth(
            reached=frozenset(reached),
            by_another=frozenset(by_another),
            typing=frozenset(end for end, answered in answers.items() if answered is not None),
            left=frozenset(
                (end, x.packet.source.version)
                for end, x in places
                if x.goes_out and (end != HOST or x.packet.source in _HOST.values())
            ),
            outside=frozenset(
                (end, x.packet.source.version)
                for x in lan
                if not x.goes_out and (end := self._sender(x.packet)) is not None
            ),
            alive=alive[_STATION[4]] | others,
            awake=alive[_STATION[4]] | alive[_CRIER[4]] | others,
            apart=frozenset(),
        )

    def _sender(self, packet: Packet) -> int | None:
        return HOST if packet.source in _HOST.values() else self._macs.get(packet.source_mac)

    def _cells(self, source: int, answered: Collection[Address]) -> Iterator[Cell]:
        for target in _EVERYBODY:
            for version in _VERSIONS:
                if target != source and self.address(target, version) in answered:
                    yield Cell(source, target, version)


@contextmanager
def guest_oracle(stage: Stage) -> Iterator[GuestOracle]:
    """Listen everywhere in a lab of guests, and at their consoles."""
    with ExitStack() as stack:
        host, lan = (_entered(stack, name) for name in (stage.lab.name, stage.wire.lan))
        heard = [stack.enter_context(captured(one)) for one in (host, lan)]
        oracle = GuestOracle(stage, host, lan, heard)
        stack.callback(oracle.close)
        yield oracle


def _entered(stack: ExitStack, name: str) -> Namespace:
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
    stack.callback(os.close, descriptor)
    return Namespace(descriptor)


def _is_written(stage: Stage, vm: str) -> bool:
    words = ("exec", "-f", stage.plan.path, vm, "--", "sh", "-c", script())
    return stage.lab.start(*words).finished(None).status == 0


def _byte(end: int) -> int:
    """Return what an end fills its pings with."""
    return 0x40 + end


def _packed(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
