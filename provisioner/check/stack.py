"""What a guest's own kernel counts of an exchange: how far a packet has come inside it.

The counters are those of /proc/net/snmp, snmp6 and netstat (SNMP's MIBs, RFC 4293), and of the NIC.
A packet that a netfilter hook drops has been counted by IP (ip_rcv_core in net/ipv4/ip_input.c),
and not by the protocol above.
"""

import re
from collections.abc import Mapping
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.plan.checks import CheckSpec, What
from provisioner.text import one_line

_LINE: Final = pattern(r"(nic [rt]x|nic name|route|ignores|drop) ?(.*)")
_NUMBER: Final = pattern(r"(\w{1,60})\s+(\d{1,20})")
_MOST_LINES, _MOST_DROPS, _IPV6 = 600, 5, 6
_BAD_ROUTE: Final = pattern(
    r"RTNETLINK|unreachable|blackhole|prohibit|throw|\berror\b", re.IGNORECASE
)

_ASKED_IN: Final = {
    (What.PING, 4): ("Icmp.InEchos",),
    (What.PING, _IPV6): ("Icmp6InEchos",),
    (What.TCP, 4): ("Tcp.InSegs",),
    (What.UDP, 4): ("Udp.InDatagrams", "Udp.NoPorts"),
    (What.UDP, _IPV6): ("Udp6InDatagrams", "Udp6NoPorts"),
}
_ANSWERED: Final = {
    (What.PING, 4): ("Icmp.OutEchoReps", "Icmp.InEchoReps"),
    (What.PING, _IPV6): ("Icmp6OutEchoReplies", "Icmp6InEchoReplies"),
    (What.TCP, 4): ("Tcp.OutSegs", "Tcp.InSegs"),
    (What.UDP, 4): ("Udp.OutDatagrams", "Udp.InDatagrams"),
    (What.UDP, _IPV6): ("Udp6OutDatagrams", "Udp6InDatagrams"),
}
_BELOW: Final = {What.HTTP: What.TCP, What.DNS: What.UDP, What.THROUGHPUT: What.TCP}


@dataclass(frozen=True, slots=True)
class StackReading:
    """One reading: the numbers, and what does not count but may explain them."""

    numbers: Mapping[str, int]
    device: str = ""  # the NIC's name inside
    route: str = ""  # what `ip route get` says of the other end
    ignores_pings: bool = False
    drops: tuple[str, ...] = ()  # rules of its firewall that drop or reject


@dataclass(frozen=True, slots=True)
class Stack:
    """What was counted inside a guest between two readings.

    `asked_in` are packets that its IP handed to the protocol that was asked (ping, TCP, UDP),
    `answered_out` and `answered_in` answers that it sent, and that it was given.
    """

    nic_in: int
    nic_out: int
    ip_in: int
    asked_in: int
    answered_out: int
    answered_in: int
    misrouted: int = 0  # dropped since there is no route back by that NIC (rp_filter)
    damaged: int = 0  # with a wrong checksum
    no_way: str = ""  # why it cannot send to the other end, or by which other NIC it does
    ignores_pings: bool = False
    drops: tuple[str, ...] = ()


def read(text: str) -> StackReading:
    """Parse what the guest's `stack` probe prints; whatever is not understood is left out."""
    numbers: dict[str, int] = {}
    facts: dict[str, str] = {}
    drops: list[str] = []
    lines = text.splitlines()[:_MOST_LINES]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if found := _LINE.fullmatch(line):
            if found[1] == "drop":
                drops.append(one_line(found[2].strip(), 120))
            facts[found[1]] = one_line(found[2].strip(), 120)
        elif found := _NUMBER.fullmatch(line.strip()):
            numbers[found[1]] = int(found[2])
        else:
            numbers |= _table(line, following)
    for name in ("nic rx", "nic tx"):
        if facts.get(name, "").isdecimal():
            numbers[name] = int(facts[name][:20])
    return StackReading(
        numbers,
        facts.get("nic name", ""),
        facts.get("route", ""),
        facts.get("ignores") == "1",
        tuple(drops[:_MOST_DROPS]),
    )


def _table(head: str, values: str) -> dict[str, int]:
    """Parse a protocol's two lines in /proc/net/snmp: the names, and the values below them."""
    protocol, colon, names = head.partition(": ")
    same, _, numbers = values.partition(": ")
    if not colon or protocol != same or not protocol.isalnum():
        return {}
    pairs = zip(names.split(), numbers.split(), strict=False)
    return {f"{protocol}.{name}": int(n) for name, n in pairs if n.isdecimal() and len(n) < 20}  # noqa: PLR2004


def between(
    before: StackReading, after: StackReading, asked: CheckSpec, version: int
) -> Stack | None:
    """Return what was counted between two readings of what is asked, by that version of IP.

    None where a guest does not tell what its NIC counts: nothing is known then.
    """
    if not {"nic rx", "nic tx"} <= before.numbers.keys() & after.numbers.keys():
        return None
    grown = {name: n - before.numbers.get(name, n) for name, n in after.numbers.items()}
    six = version == _IPV6
    what = _BELOW.get(asked.what, asked.what)
    what = what if what in {What.TCP, What.UDP} else What.PING
    key = (what, 4 if what is What.TCP else version)  # TCP counts both versions in one table

    def count(*names: str) -> int:
        return max(0, sum(grown.get(name, 0) for name in names))

    sent, given = _ANSWERED[key]
    return Stack(
        count("nic rx"),
        count("nic tx"),
        count("Ip6InReceives" if six else "Ip.InReceives"),
        count(*_ASKED_IN[key]),
        count(sent),
        count(given),
        0 if six else count("TcpExt.IPReversePathFilter"),
        count("Icmp6InCsumErrors" if six else "Icmp.InCsumErrors", "Tcp.InCsumErrors"),
        _no_way(after),
        after.ignores_pings,
        after.drops,
    )


def _no_way(now: StackReading) -> str:
    """Return why a guest does not send to the other end by the NIC that it should send by."""
    if _BAD_ROUTE.search(now.route):
        return now.route
    found = re.search(r"\bdev (\S{1,15})", now.route)
    return f"by {found[1]}, not by {now.device}" if found and found[1] != now.device else ""
