"""What a guest counts of an exchange, from its kernel's tables: hostile until it is numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.check import stack
from provisioner.check.stack import Stack, StackReading
from provisioner.plan.checks import PING
from provisioner.text import hides
from tests.builders.checks import spec

BEFORE = """\
nic name eth0
nic rx 10
nic tx 20
Ip: Forwarding DefaultTTL InReceives InAddrErrors
Ip: 2 64 100 0
Icmp: InMsgs InErrors InCsumErrors InEchos InEchoReps OutEchoReps
Icmp: 5 0 0 5 1 5
Tcp: RtoAlgorithm InSegs OutSegs InCsumErrors
Tcp: 1 50 40 0
Udp: InDatagrams NoPorts OutDatagrams
Udp: 1 1 3
TcpExt: SyncookiesSent IPReversePathFilter
TcpExt: 0 2
Ip6InReceives                   \t30
Icmp6InEchos                    \t3
Icmp6OutEchoReplies             \t3
Udp6InDatagrams                 \t1
"""
AFTER = (
    BEFORE.replace("nic rx 10", "nic rx 14")
    .replace("nic tx 20", "nic tx 21")
    .replace("2 64 100 0", "2 64 103 0")
    .replace("5 0 0 5 1 5", "7 0 1 7 2 6")
    .replace("1 50 40 0", "1 53 41 0")
    .replace("Udp: 1 1 3", "Udp: 2 3 4")
    .replace("TcpExt: 0 2", "TcpExt: 0 4")
    .replace("\t30", "\t35")
    .replace("Icmp6InEchos                    \t3", "Icmp6InEchos                    \t5")
    + """\
route 10.0.0.1 dev eth0 src 10.0.0.2
ignores 1
drop icmp type echo-request drop
"""
)


@pytest.mark.parametrize(
    ("asked", "version", "expected"),
    [
        ("ping", 4, Stack(4, 1, 3, 2, 1, 1, misrouted=2, damaged=1)),
        ("ping", 6, Stack(4, 1, 5, 2, 0, 0)),
        ("tcp/22", 4, Stack(4, 1, 3, 3, 1, 3, misrouted=2, damaged=1)),
        ("http://b/", 4, Stack(4, 1, 3, 3, 1, 3, misrouted=2, damaged=1)),
        ("udp/53", 4, Stack(4, 1, 3, 3, 1, 1, misrouted=2, damaged=1)),
        ("udp/53", 6, Stack(4, 1, 5, 0, 0, 0)),
    ],
)
def test_what_has_grown_is_counted_by_what_was_asked(
    asked: str, version: int, expected: Stack
) -> None:
    found = stack.between(stack.read(BEFORE), stack.read(AFTER), spec(asked), version)
    assert found
    assert (found.ignores_pings, found.drops) == (True, ("icmp type echo-request drop",))
    numbers = Stack.__dataclass_fields__.keys() - {"ignores_pings", "drops"}
    assert {x: getattr(found, x) for x in numbers} == {x: getattr(expected, x) for x in numbers}


@pytest.mark.parametrize(
    ("route", "told"),
    [
        ("10.0.0.1 dev eth0 src 10.0.0.2", ""),
        ("10.0.0.1 via 10.0.0.254 dev eth1 src 10.9.0.2", "by eth1, not by eth0"),
        ("RTNETLINK answers: Network is unreachable", "RTNETLINK answers: Network is unreachable"),
        ("unreachable 10.0.0.1 dev lo", "unreachable 10.0.0.1 dev lo"),
        ("", ""),
    ],
)
def test_a_way_that_is_not_by_the_nic_is_told(route: str, told: str) -> None:
    text = AFTER.replace("route 10.0.0.1 dev eth0 src 10.0.0.2", f"route {route}")
    found = stack.between(stack.read(BEFORE), stack.read(text), PING, 4)
    assert found
    assert found.no_way == told


def test_a_guest_that_does_not_tell_what_its_nic_counts_shows_nothing() -> None:
    silent = stack.read(AFTER.replace("nic rx", "nix rx"))
    assert stack.between(stack.read(BEFORE), silent, PING, 4) is None
    assert stack.between(StackReading({}), StackReading({}), PING, 4) is None


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_guest_prints_is_read_as_numbers_and_harmless_lines(one: str, two: str) -> None:
    text = f"nic rx 1\nnic tx 1\n{one}\ndrop {two}\nroute {one}"
    found = stack.between(stack.read(text), stack.read(text + AFTER), PING, 4)
    assert found is None or not any(map(hides, "".join((found.no_way, *found.drops))))
