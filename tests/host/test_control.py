"""Controls at an uplink: what breaks a way silences them, and each has its own mark."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from provisioner.host.probe import mesh, place_ping
from provisioner.host.probe.control import Beyond, ControlSeen, Enough, Injected, control
from provisioner.host.probe.place_ping import PlacePing
from provisioner.host.probe.question_log import QuestionLog
from tests.host_tools.macvtap_lab import end, lab
from tests.host_tools.namespace import ip
from tests.host_tools.tap_peer import TapEnd

STRANGER, GATEWAY = ip_address("10.0.0.77"), ip_address("10.0.0.254")


def put_in(to: TapEnd, enough: Enough = Enough.PING) -> Injected:
    return Injected(to.address, to.mac, "", STRANGER, (to.link,), enough)


def asked(*to: TapEnd, deadline_s: float = 0.5) -> ControlSeen:
    guests = tuple((one.link, one.mac) for one in to)
    return control("nic0", [put_in(one) for one in to], Beyond(guests, (GATEWAY,)), deadline_s)


def drop(family: str, hook: str) -> str:
    """Write a table that drops everything at a hook."""
    chain = f"chain c {{ type filter hook {hook} priority 0; policy drop; }}"
    return f"table {family} t {{ {chain}; }}"


def nft(text: str) -> None:
    subprocess.run(["nft", text], check=True)


@contextmanager
def one_private(**more: object) -> Iterator[TapEnd]:
    one = end(1, **more)
    with lab([one], "private"):
        ip("addr add 10.0.0.254/24 dev sw")
        yield one


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge", "passthru"])
def test_a_guest_answers_its_control_in_every_mode_and_somebody_is_beyond(mode: str) -> None:
    one = end(1)
    with lab([one], mode):
        ip("addr add 10.0.0.254/24 dev sw")
        seen = asked(one)
    assert list(seen.answered) == [put_in(one)]
    assert (seen.path.broken, seen.path.beyond, seen.why) == ("", "10.0.0.254", "")


def test_a_silent_guest_answers_no_control() -> None:
    with one_private(silent=True) as one:
        seen = asked(one)
    assert (seen.answered, seen.path.beyond) == ({}, "10.0.0.254")


def test_a_ping_may_be_answered_by_another_nic_of_the_guest() -> None:
    """Routes of a guest with two NICs in a subnet name one of them for all that it sends."""
    other = "02:00:00:00:01:99"
    with one_private(pings_by=other) as one:
        assert list(asked(one).answered) == [put_in(one)]


def test_a_guest_on_a_list_is_asked_from_a_mac_that_is_listed() -> None:
    one, listed = end(1), "02:00:00:00:00:99"
    with lab([one], "source"):
        ip(f"link set tap1 type macvtap macaddr add {listed}")
        ping = Injected(one.address, one.mac, listed, STRANGER, ("tap1",))
        stranger = Injected(one.address, one.mac, "", STRANGER, ("tap1",))
        found = [control("nic0", [x], None, 0.4).answered for x in (ping, stranger)]
    assert [list(x) for x in found] == [[ping], []]


@pytest.mark.parametrize(
    "hook",
    ["ingress device nic0", "ingress device tap1", "egress device tap1"],
)
def test_a_filter_on_the_way_in_or_at_the_macvtap_silences_the_control(hook: str) -> None:
    with one_private() as one:
        assert asked(one).answered
        nft(drop("netdev", hook))
        assert asked(one).answered == {}


def test_a_filter_at_the_egress_of_the_uplink_is_seen_by_the_log() -> None:
    ask = mesh.Ask("tap1", end(1).mac, GATEWAY)
    seen = []
    for text in ("table netdev t { }", drop("netdev", "egress device nic0")):
        with one_private() as one:
            nft(text)
            with QuestionLog(["tap1", "nic0"], of_others=False) as log:
                mesh.answered([ask], 0.2)
                log.stop()
            seen.append([log.asked(x, one.mac, GATEWAY) for x in ("tap1", "nic0")])
    assert seen == [[True, True], [True, False]]


def test_an_uplink_that_is_gone_down_or_without_carrier_is_told() -> None:
    with one_private() as one:
        ip("link set far down")
        no_carrier = asked(one)
        ip("link set nic0 down")
        down = asked(one)
        gone = control("nowhere", [], None, 0.1)
    assert [x.path.broken for x in (no_carrier, down, gone)] == [
        "the uplink nic0 has no carrier",
        "the uplink nic0 is down",
        "the uplink nowhere is not there",
    ]


def test_a_machine_beyond_that_nobody_has_named_is_found_by_its_ipv6() -> None:
    one = end(1)
    with lab([one], "private"):
        ip("addr add fe80::1/64 dev sw nodad")
        guests = ((one.link, one.mac),)
        found = control("nic0", [put_in(one)], Beyond(guests), 0.3).path.beyond
        assert found == "fe80::1"
        nft(drop("bridge", "prerouting"))
        assert control("nic0", [put_in(one)], Beyond(guests), 0.3).path.beyond == ""


def test_who_sits_on_the_same_uplink_is_not_beyond_it() -> None:
    one, gateway = end(1), end(254)
    with lab([one, gateway], "bridge"):
        assert (
            control("nic0", [], Beyond(((one.link, one.mac),), (GATEWAY,)), 0.3).path.beyond == ""
        )


def test_nobody_is_beyond_an_uplink_that_lets_nothing_out() -> None:
    with one_private() as one:
        nft(drop("netdev", "egress device nic0"))
        found = control("nic0", [], Beyond(((one.link, one.mac),)), 0.2)
        assert (found.path.broken, found.path.beyond, found.why) == ("", "", "")


def test_an_end_whose_macvtap_has_another_mac_hears_who_has_of_all_and_not_its_own() -> None:
    with one_private() as one:
        pings = [put_in(one, enough) for enough in (Enough.WHO_HAS, Enough.WHO_HAS_ALONE)]
        assert list(control("nic0", pings, None, 0.5).answered) == pings[::-1]
        ip("link set tap1 address 02:00:00:00:00:77")
        assert list(control("nic0", pings, None, 0.3).answered) == pings[:1], (
            "its own frames do not come to it"
        )


def test_a_log_tells_questions_from_answers() -> None:
    a, b = end(1), end(2)
    with lab([a, b], "bridge"), QuestionLog(["tap1", "tap2", "nic0"], of_others=False) as log:
        mesh.answered([mesh.Ask("tap1", a.mac, b.address)], 0.3)
        log.stop()
        assert log.asked("tap1", a.mac, b.address)
        assert log.asked_for_mac("tap1", a.mac, b.address)
        assert log.answered("tap1", a.mac, b.address)
        assert not log.answered("tap1", b.mac, b.address), "it was for a"
        assert not log.asked("tap2", b.mac, a.address)
        assert not log.answered("tap2", b.mac, a.address)


def test_a_log_tells_to_which_mac_packets_have_gone() -> None:
    a, b = end(1), end(2)
    with lab([a, b], "bridge"), QuestionLog(["tap1", "tap2"], of_others=False) as log:
        own = ip_address("10.0.0.1")
        for mac in (b.mac, "02:00:00:00:00:99"):
            place_ping.answered([PlacePing(a.link, a.mac, own, mac, b.address)], 0.2)
        log.stop()
        assert log.next_hops("tap1", a.mac, b.address) == {b.mac, "02:00:00:00:00:99"}
        assert log.next_hops("tap2", b.mac, b.address) == frozenset()
