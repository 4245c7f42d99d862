"""What pings print inside a guest, as busybox 1.35 and iputils 20221126 write it."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from provisioner.guest.ping_output import Pings, parsed

FOUR, SIX = ip_address("10.77.0.65"), ip_address("fd77::1")
BUSYBOX = """\
PING 10.77.0.65 (10.77.0.65): 1472 data bytes
1480 bytes from 10.77.0.65: seq=0 ttl=64 time=1.250 ms
1480 bytes from 10.77.0.65: seq=2 ttl=64 time=0.500 ms
1480 bytes from 10.77.0.65: seq=2 ttl=64 time=9.500 ms (DUP!)

--- 10.77.0.65 ping statistics ---
3 packets transmitted, 2 packets received, 1 duplicates, 33% packet loss
"""
IPUTILS = """\
PING fd77::1(fd77::1) 56 data bytes
64 bytes from fd77::1: icmp_seq=1 ttl=64 time=0.5 ms
64 bytes from gw (fd77::1): icmp_seq=2 ttl=64 time=1 ms
From fd77::9 icmp_seq=3 Destination unreachable: Address unreachable
"""


def counters(sent: int, answered: int, six: int) -> str:
    return (
        "Icmp: InMsgs InErrors InEchos InEchoReps OutMsgs OutEchos OutEchoReps\n"
        f"Icmp: 9 0 3 {answered} 9 {sent} 3\n"
        "IcmpMsg: InType0 InType8\nIcmpMsg: 1 2\n"
        f"Icmp6InEchoReplies              \t7\nIcmp6OutEchos                   \t{six}\n"
    )


def test_answers_are_numbered_from_0_whoever_pings() -> None:
    found = parsed((BUSYBOX + IPUTILS).encode(), {FOUR, SIX})
    assert found.replies == {
        (FOUR, 1500): {0: 0.00125, 2: 0.0005},
        (SIX, 104): {0: 0.0005, 1: 0.001},
    }


def test_nobody_else_answers() -> None:
    assert parsed((BUSYBOX + IPUTILS).encode(), {ip_address("10.77.0.6")}).replies == {}


def test_the_kernel_counts_what_was_not_answered() -> None:
    text = counters(100, 90, 7) + BUSYBOX + counters(140, 127, 7)
    assert parsed(text.encode(), {FOUR}).unanswered == {4: 3, 6: 0}


def test_answers_that_come_after_the_pings_have_ended_are_counted() -> None:
    text = counters(100, 90, 7) + BUSYBOX + counters(140, 127, 7) + counters(140, 129, 7)
    assert parsed(text.encode(), {FOUR}).unanswered == {4: 1, 6: 0}


def test_answers_that_come_from_before_are_no_gain() -> None:
    text = counters(100, 90, 7) + counters(140, 131, 7)
    assert parsed(text.encode(), {FOUR}).unanswered == {4: 0, 6: 0}


def test_a_kernel_that_does_not_say_is_not_known() -> None:
    assert parsed(BUSYBOX.encode(), {FOUR}).unanswered == {}
    assert parsed((counters(1, 1, 1) + BUSYBOX).encode(), {FOUR}).unanswered == {}


@given(st.binary())
def test_any_output_is_read(output: bytes) -> None:
    assert isinstance(parsed(output, {FOUR, SIX}), Pings)


@given(st.text(alphabet="Icmp6: OutEchosInReplies0123456789\n\t-"))
def test_any_counters_are_read(text: str) -> None:
    assert all(n >= 0 for n in parsed(text.encode(), {FOUR}).unanswered.values())
