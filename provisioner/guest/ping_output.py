"""What pings print inside a guest between looks at its kernel's counters.

Hostile until it has been checked. It is busybox's or iputils'. busybox's sockets get the answers to
all pings that run, and lose some when there are many; the kernel counts each one.
"""

from collections.abc import Collection, Mapping
from dataclasses import field
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.plan.ip import Address

# busybox writes "64 bytes from ADDRESS: seq=0", iputils "64 bytes from NAME (ADDRESS): icmp_seq=1".
_REPLY: Final = pattern(
    r"(\d{1,5}) bytes from (?:\S{1,255} \()?([0-9a-f.:]+?)\)?: (icmp_)?seq=(\d{1,5}) .{0,80}?"
    r"time=(\d{1,6}(?:\.\d{1,6})?) ms"
)
# Of /proc/net/snmp: a line of names, a line of numbers. Of snmp6: a line each.
_FOUR: Final = pattern(r"(?m)^Icmp: (InMsgs [A-Za-z ]{1,600})\nIcmp: ([\d ]{1,600})$")
_SIX: Final = pattern(r"(?m)^(Icmp6OutEchos|Icmp6InEchoReplies)\s+(\d{1,20})$")
_IP_HEADER: Final = {4: 20, 6: 40}
ICMP_HEADER: Final = 8
"""Bytes of an echo request's own header."""


@dataclass(frozen=True, slots=True)
class Pings:
    """What came of many pings.

    `replies` has, by address and bytes of the IP packet, the number of each ping that was answered,
    from 0, and its round trip in seconds. `unanswered` has by version of IP how many of all that
    were sent meanwhile have no answer; it lacks one whose counters cannot be read.
    """

    replies: Mapping[tuple[Address, int], Mapping[int, float]] = field(default_factory=dict)
    unanswered: Mapping[int, int] = field(default_factory=dict)


def ip_header(address: Address) -> int:
    """Return the size of an IP header in bytes."""
    return _IP_HEADER[address.version]


def parsed(output: bytes, known: Collection[Address]) -> Pings:
    """Parse outputs of `guest-probe.sh pings`, one after the other, about addresses that are known.

    The kernel's counters are compared from the first look to the last.
    """
    text = output.decode("ascii", "replace")
    by_text = {str(a): a for a in known}
    found: dict[tuple[Address, int], dict[int, float]] = {}
    for length, name, from_one, number, took in _REPLY.findall(text):
        if (address := by_text.get(name)) is None:
            continue
        numbers = found.setdefault((address, int(length) + ip_header(address)), {})
        numbers.setdefault(int(number) - bool(from_one), float(took) / 1000)
    four = [dict(zip(x.split(), map(int, y.split()), strict=False)) for x, y in _FOUR.findall(text)]
    six = [(name, int(number)) for name, number in _SIX.findall(text)]
    sent = {4: [x.get("OutEchos", -1) for x in four], 6: _values(six, "Icmp6OutEchos")}
    answered = {4: [x.get("InEchoReps", -1) for x in four], 6: _values(six, "Icmp6InEchoReplies")}
    return Pings(
        found,
        {
            version: max(0, (out[-1] - out[0]) - (back[-1] - back[0]))
            for version, out in sent.items()
            if len(out) == len(back := answered[version]) >= 2 and min(*out, *back) >= 0  # noqa: PLR2004
        },
    )


def _values(lines: Collection[tuple[str, int]], name: str) -> list[int]:
    return [number for each, number in lines if each == name]
