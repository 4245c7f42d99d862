"""Every forged frame, put in by a guest's tap, under each guard: what of it leaves.

The macvtaps and the guard are real; instead of QEMU the test writes to the tap. Run as a module
it prints the table of docs/explanation/spoof-guard.md.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from select import select
from socket import AF_PACKET, SOCK_RAW, socket
from typing import IO

from provisioner import naming
from provisioner.host.netlink import links
from provisioner.host.network import nftables as nft
from provisioner.network import nftables
from provisioner.network.addressing import NicConfig, assign
from provisioner.plan.load.loader import load
from provisioner.plan.nic_id import NicId
from provisioner.plan.nic_settings import settings_of
from provisioner.reconcile.known_wire import wire_of
from tests.host_tools.forged_frames import Machine, ways
from tests.host_tools.namespace import fresh_namespace, ip
from tests.host_tools.tap_peer import opened

_SWITCH = 'switch: {dhcp: DHCP}, subnet: [10.0.0.0/24, "fd00::/64"]'
_STATIC, _LEASED = _SWITCH.replace("DHCP", "false"), _SWITCH.replace("DHCP", "true")
_FOREIGN = 'uplink: low0, addressing: dhcp, gateway: [10.0.0.1, "fd00::1"]'
_OWN = ', address: [10.0.0.5/24, "fd00::5/64"]'
_OTHER = "image: none, kernel: ./vmlinuz, "

PLANS: Mapping[str, tuple[str, str, str]] = {
    "mac": (f"{_STATIC}, spoof_guard: mac", _OWN, ""),
    "static": (f"{_STATIC}, spoof_guard: strict", _OWN, ""),
    "static, other image": (f"{_STATIC}, spoof_guard: strict", _OWN, _OTHER),
    "vmnet's DHCP and SLAAC": (f"{_LEASED}, spoof_guard: strict", "", ""),
    "the same, other image": (f"{_LEASED}, spoof_guard: strict", "", _OTHER),
    "foreign DHCP and SLAAC": (f"{_FOREIGN}, spoof_guard: strict", "", ""),
    "these, other image": (f"{_FOREIGN}, spoof_guard: strict", "", _OTHER),
}
"""How a column's network is written, its NIC, and its VM."""

_WIRE_MAC = "02:00:00:00:00:99"
_PATIENCE_S = 20
_MARK = b"forged-%04d"
_A, _B = NicId("a", 0), NicId("b", 0)


@dataclass(frozen=True)
class Passed:
    """Where a frame arrived."""

    wire: bool
    sibling: bool

    def __str__(self) -> str:
        """Return it as a cell of the table."""
        match self.wire, self.sibling:
            case True, True:
                return "passes"
            case False, False:
                return "-"
            case True, False:
                return "to the wire"
            case _:
                return "to siblings"


def table() -> str:
    """Return the table of all ways under all guards, as Markdown."""
    columns = {name: _column(*text) for name, text in PLANS.items()}
    first = next(iter(columns.values()))
    lines = [f"| what a guest sends | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for way in first:
        cells = " | ".join(str(column[way]) for column in columns.values())
        lines.append(f"| {way} | {cells} |")
    return "\n".join([*lines, ""])


def honest() -> set[str]:
    """Return the names of what honest guests send."""
    one = Machine("02:00:00:00:00:01", "10.0.0.5", "fd00::5", "fe80::5")
    return {way.name for way in ways(one, one, one, one.mac) if way.honest}


def _column(network: str, nic: str, vm: str) -> dict[str, Passed]:
    text = (
        f"name: lab\nnetworks: {{lan: {{{network}}}}}\nvms:\n"
        f'  a: {{{vm}nics: [{{network: lan, mac: "02:00:00:00:00:01"{nic}}}]}}\n'
        '  b: {nics: [{network: lan, mac: "02:00:00:00:00:06",'
        ' address: [10.0.0.6/24, "fd00::6/64"]}]}\n'
    )
    plan = load(text, "p").plan
    nics = assign(plan)
    tap, sibling = naming.macvtap("lab", *_A), naming.macvtap("lab", *_B)
    level = settings_of(plan, plan.nic(_A)).spoof_guard
    guard = nftables.guard("lab", tap, nics[_A], level, wire_of(plan, _A, nics))
    me = _machine(nics[_A], slaac=nics[_A].ra)
    host = Machine(
        host_mac := naming.host_mac("lab", "lan"), "10.0.0.1", "fd00::1", _local(host_mac)
    )
    other = _machine(nics[_B], slaac=False)
    with fresh_namespace():
        ip(
            f"link add low0 type veth peer name far0 address {_WIRE_MAC}",
            f"link add link low0 name {tap} address {me.mac} type macvtap mode bridge",
            f"link add link low0 name {sibling} address {other.mac} type macvtap mode bridge",
            *(f"link set {x} addrgenmode none" for x in ("low0", "far0", tap, sibling)),
            *(f"link set {x} allmulticast on up" for x in ("low0", "far0", tap, sibling)),
        )
        if os.environ.get("VMNET_TEST_GUARD") != "off":
            nft.create(guard)
        return _tried(tap, sibling, me, host, other)


def _tried(tap: str, sibling: str, me: Machine, host: Machine, other: Machine) -> dict[str, Passed]:
    indexes = {x.name: x.index for x in links.every()}
    with ExitStack() as stack:
        sender = stack.enter_context(os.fdopen(opened(tap, indexes[tap]), "r+b", 0))
        at_sibling = stack.enter_context(os.fdopen(opened(sibling, indexes[sibling]), "rb", 0))
        on_wire = stack.enter_context(socket(AF_PACKET, SOCK_RAW, 0x0300))
        on_wire.bind(("far0", 3))
        on_wire.settimeout(0)
        both = {
            where: list(ways(me, host, other, mac))
            for where, mac in (("wire", _WIRE_MAC), ("sibling", other.mac))
        }
        sent: dict[bytes, tuple[str, str]] = {}
        for where, every in both.items():
            for way in every:
                mark = _MARK % len(sent)
                sent[mark] = (way.name, where)
                _send(sender, way.frame, mark)
        last = _MARK % len(sent)
        control = next(way for way in both["wire"] if way.honest)
        _send(sender, b"\xff" * 6 + control.frame[6:], last)
        heard = set(_heard(on_wire, at_sibling, last))
    # What is sent to a machine on the wire is not seen by siblings, unless it is sent to many.
    arrived = {(sent[mark][0], sent[mark][1], by) for mark, by in heard if mark != last}
    return {
        way.name: Passed(*((way.name, where, where) in arrived for where in ("wire", "sibling")))
        for way in both["wire"]
    }


def _send(tap: IO[bytes], frame: bytes, mark: bytes) -> None:
    tap.write(bytes(10) + frame.ljust(80, b"\0") + mark)


def _heard(on_wire: socket, at_sibling: IO[bytes], last: bytes) -> Iterator[tuple[bytes, str]]:
    """Return the marks of what arrives, until the control has arrived at both."""
    waiting: dict[str, socket | IO[bytes]] = {"wire": on_wire, "sibling": at_sibling}
    until = time.monotonic() + _PATIENCE_S
    while waiting:
        ready, _, _ = select([*waiting.values()], [], [], max(0, until - time.monotonic()))
        assert ready, f"the control did not arrive: {waiting}"
        for where, source in list(waiting.items()):
            if source in ready:
                frame = on_wire.recv(4096) if where == "wire" else at_sibling.read(4096)
                mark = frame[-len(last) :]
                if mark.startswith(_MARK[:7]):
                    yield mark, where
                if mark == last:
                    del waiting[where]


def _machine(config: NicConfig, *, slaac: bool) -> Machine:
    own = [one.ip for one in config.addresses]
    four = next((str(x) for x in own if isinstance(x, IPv4Address)), "10.0.0.5")
    local = _local(config.mac)
    made = local.replace("fe80::", "fd00::")
    six = made if slaac else next(str(x) for x in own if isinstance(x, IPv6Address))
    return Machine(config.mac, four, six, local)


def _local(mac: str) -> str:
    octets = [int(x, 16) for x in mac.split(":")]
    octets[0] ^= 2
    end = bytes([*octets[:3], 0xFF, 0xFE, *octets[3:]])
    return str(IPv6Address(b"\xfe\x80".ljust(8, b"\0") + end))


if __name__ == "__main__":
    sys.stdout.write(table())
