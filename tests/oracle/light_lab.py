"""A light network for real: macvtaps on a veth, a switch and a machine behind it, light ends.

host (a namespace)            LAN (another)
tap0 tap1 … on nic0 ────────── far in the bridge sw, whose addresses are the LAN machine's
"""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from provisioner.host.network import tap_node
from tests.host_tools.namespace import Namespace, far_namespace, fresh_namespace, ip
from tests.oracle.grammar import LightNetwork
from tests.oracle.light_end import Habits, LightEnd
from tests.oracle.packets import Address

LAN, HOST = -1, -2
"""The numbers of the machine on the LAN and of the host itself; ends are counted from 0."""

STATION_MAC, LAN_MAC, OTHER_MAC, HOST_MAC = (f"02:00:00:00:fe:0{n}" for n in range(1, 5))
STATION = {4: ip_address("10.9.0.250"), 6: ip_address("fd09::250")}
"""A machine on the LAN that the oracle plays; everybody knows its MAC."""
CRIER = {4: ip_address("10.9.0.251"), 6: ip_address("fd09::251")}
"""The same machine, when it asks everybody."""
_MACS = {LAN: LAN_MAC, HOST: HOST_MAC}
_NUMBERS = {LAN: 254, HOST: 253}


def mac(end: int) -> str:
    """Return the MAC of an end, of the LAN machine or of the host."""
    return _MACS.get(end, f"02:00:00:00:01:{end + 1:02x}")


def address(end: int, version: int) -> Address:
    """Return an address of an end, of the LAN machine or of the host."""
    number = _NUMBERS.get(end, 10 + end)
    return ip_address(f"10.9.0.{number}" if version == 4 else f"fd09::{number}")


def tap(end: int) -> str:
    """Return the name of an end's macvtap."""
    return f"tap{end}"


LAN_ADDRESSES = f"{address(LAN, 4)}/24", f"{address(LAN, 6)}/64"


@dataclass(frozen=True)
class LightLab:
    """What there is of a network: the two namespaces, and the ends by number."""

    network: LightNetwork
    host: Namespace
    lan: Namespace
    ends: list[LightEnd]
    indexes: dict[str, int]  # of the devices, by name

    def mac(self, end: int) -> str:
        """Return the MAC by which an end is reached."""
        return mac(0) if self.network.takes_all else mac(end)

    def outside(self, *argv: str) -> None:
        """Run a program on the machine on the LAN."""
        with self.lan.entered():
            run(*argv)

    def inside(self, *argv: str) -> None:
        """Run a program on the host."""
        with self.host.entered():
            run(*argv)


def run(*argv: str) -> None:
    """Run a program to its end, where the calling thread is."""
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert ran.returncode == 0, f"{argv}: {ran.stderr}"


@contextmanager
def light_lab(network: LightNetwork) -> Iterator[LightLab]:
    """Build a network, let its ends live, and be in its host's namespace."""
    with ExitStack() as stack:
        host = stack.enter_context(fresh_namespace())
        lan = stack.enter_context(far_namespace())
        count = len(network.modes)
        _wire(lan, network)
        links = json.loads(subprocess.check_output(["ip", "-json", "link"]))
        indexes = {link["ifname"]: int(link["ifindex"]) for link in links}
        taps = {tap(end): indexes[tap(end)] for end in range(count)}
        nodes = tap_node.numbers_of(taps)
        ends: list[LightEnd] = []
        for end in range(count):
            number = nodes[tap(end)]
            node = os.major(number), os.minor(number)
            ends.append(LightEnd(tap(end), taps[tap(end)], node, _healthy(end)))
            stack.callback(ends[-1].end)
        yield LightLab(network, host, lan, ends, indexes)


def _healthy(end: int) -> Habits:
    knows = {str(address): STATION_MAC for address in STATION.values()}
    return Habits(mac(end), [str(address(end, version)) for version in (4, 6)], knows)


def _wire(lan: Namespace, network: LightNetwork) -> None:
    card = mac(0) if network.takes_all else HOST_MAC
    ip(f"link add nic0 address {card} type veth peer name far netns {lan.path}")
    with lan.entered():
        ip(
            f"link add sw address {LAN_MAC} type bridge forward_delay 0 mcast_snooping 0",
            "link set sw addrgenmode none",
            "link set far addrgenmode none",
            "link set far master sw up",
            f"link set far type bridge_slave hairpin {'on' if network.hairpin else 'off'}",
            "link set sw up",
            *at_lan("add", *LAN_ADDRESSES),
        )
    # A host whose NIC was down for a moment keeps its addresses, as a managed one gets them anew.
    Path("/proc/sys/net/ipv6/conf/nic0/keep_addr_on_down").write_text("1")
    ip(
        "link set nic0 addrgenmode none",
        "link set nic0 up",
        f"addr add {address(HOST, 4)}/24 dev nic0",
        f"addr add {address(HOST, 6)}/64 dev nic0 nodad",
        *_macvtaps(network),
    )


def at_lan(verb: str, *addresses: str) -> list[str]:
    """Return iproute2's lines that add or delete addresses of the LAN machine."""
    nodad = {one: " nodad" * (verb == "add" and ":" in one) for one in addresses}
    return [f"addr {verb} {one} dev sw{nodad[one]}" for one in addresses]


def _macvtaps(network: LightNetwork) -> Iterator[str]:
    for end, mode in enumerate(network.modes):
        name, own = tap(end), mac(end)
        at = "" if mode == "passthru" else f"address {own}"
        yield f"link add link nic0 name {name} {at} type macvtap mode {mode}"
        yield f"link set {name} addrgenmode none"
        if mode == "source":
            yield from source_list(name, network.lists[end])
        yield f"link set {name} arp off allmulticast on up"


def source_list(name: str, ends: Iterable[int]) -> Iterator[str]:
    """Return iproute2's lines that fill a source list; the station is on the LAN, too."""
    macs = [mac(end) for end in ends] + [STATION_MAC] * (LAN in ends)
    yield from (f"link set {name} type macvtap macaddr add {one}" for one in macs)


@contextmanager
def storm(lan: Namespace) -> Iterator[None]:
    """Let broadcasts come from the LAN, a thousand in a second, from a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            _rage(lan)
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _rage(lan: Namespace) -> None:
    import select

    from tests.oracle.capture import NOISE
    from tests.oracle.packets import EVERYBODY, Kind, Packet, built

    own = bytes.fromhex(OTHER_MAC.replace(":", ""))
    somebody = ip_address("10.9.0.77")
    frame = built(Packet(Kind.WHO_HAS, somebody, NOISE, own, EVERYBODY, told=own))
    with lan.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind(("far", 0))
        while True:
            for _ in range(5):
                wire.send(frame)
            select.select([], [], [], 0.005)
