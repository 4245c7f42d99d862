import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.probe import neighbours
from provisioner.host.probe.neighbours import Seen
from provisioner.host.probe.packet_socket import Wire
from provisioner.network import frames
from provisioner.plan import ip as ip_module
from provisioner.plan.mac import Mac
from tests.host_tools.namespace import Namespace, ip
from tests.host_tools.veth_peer import (
    ABSENT,
    FAR,
    FOUR,
    OTHER,
    SIX,
    always,
    reacting,
    reply,
    send_from,
)


def watching(targets: dict[ip_module.Address, Mac]) -> Iterator[tuple[ip_module.Address, Seen]]:
    """Watch for answers at `near`, for a minute, asking twenty times a second."""
    with Wire("near") as wire:
        yield from neighbours.watch(wire, targets, 60, every_s=0.05)


def who(found: dict[ip_module.Address, Seen]) -> dict[ip_module.Address, tuple[str, ...]]:
    return {address: (seen.mac, *seen.macs) for address, seen in found.items()}


@pytest.mark.usefixtures("guest")
def test_a_device_without_addresses_finds_its_neighbours() -> None:
    found = neighbours.neighbours("near", {FOUR: FAR, SIX: FAR}, deadline_s=5)
    assert who(found) == {FOUR: (FAR, FAR), SIX: (FAR, FAR)}


@pytest.mark.usefixtures("guest")
def test_it_ends_as_soon_as_all_have_answered() -> None:
    start = time.monotonic()
    neighbours.neighbours("near", {FOUR: FAR, SIX: FAR}, deadline_s=60)
    assert time.monotonic() - start < 5


@pytest.mark.usefixtures("guest")
def test_a_silent_address_costs_the_deadline_and_is_absent() -> None:
    start = time.monotonic()
    found = neighbours.neighbours("near", {FOUR: FAR, ABSENT: OTHER}, deadline_s=0.3)
    assert (list(found), 0.3 <= time.monotonic() - start < 2) == ([FOUR], True)


@pytest.mark.usefixtures("guest")
def test_a_device_with_addresses_asks_in_its_own_name() -> None:
    ip("addr add 10.0.0.1/24 dev near", "addr add fd00::1/64 dev near nodad")
    found = neighbours.neighbours("near", {FOUR: FAR, SIX: FAR}, deadline_s=5)
    assert who(found) == {FOUR: (FAR, FAR), SIX: (FAR, FAR)}


def test_a_device_with_an_address_is_the_sender_in_its_network_only(far: Namespace) -> None:
    ip("addr add 10.0.0.1/24 dev near")
    outside = IPv4Address("10.9.9.9")
    with reacting(far, lambda r: [reply(FAR, address=IPv4Address(r[38:42]))]) as requests:
        neighbours.neighbours("near", {FOUR: FAR, outside: FAR}, deadline_s=5)
        senders = {request[38:42]: request[28:32] for request in requests}
    assert senders == {FOUR.packed: b"\x0a\0\0\1", outside.packed: bytes(4)}


def test_asking_leaves_nothing_in_any_cache_of_ipv4(guest: Namespace) -> None:
    neighbours.neighbours("near", {FOUR: FAR, SIX: FAR}, deadline_s=5)
    with guest.entered():
        there = Path("/proc/thread-self/net/arp").read_text().splitlines()[1:]
    here = Path("/proc/thread-self/net/arp").read_text().splitlines()[1:]
    assert (here, there) == ([], [])


def test_two_machines_with_one_address_are_both_told(far: Namespace) -> None:
    with reacting(far, always(reply(FAR), reply(OTHER), reply(FAR))):
        found = neighbours.neighbours("near", {FOUR: FAR}, deadline_s=5)
    assert who(found) == {FOUR: (FAR, FAR, OTHER)}


def test_a_second_machine_that_answers_after_the_last_is_told(guest: Namespace) -> None:
    answers = watching({FOUR: FAR})
    next(answers)
    send_from(guest, reply(OTHER))
    assert [seen.macs for _, seen in answers] == [(FAR, OTHER)]


def test_the_traffic_of_others_wakes_nobody(far: Namespace) -> None:
    with Wire("near") as wire:
        send_from(
            far,
            frames.arp_request(FOUR, FAR),
            frames.neighbour_solicitation(SIX, FAR),
            bytes(12) + b"\x08\0" + bytes(50),
        )
        start = time.monotonic()
        answers = wire.answers(0.1)
    assert (answers, time.monotonic() - start >= 0.1) == ([], True)


def test_the_expected_machine_is_awaited_behind_another_one(far: Namespace) -> None:
    answers = iter([[reply(OTHER)], [], [reply(FAR)]])
    with reacting(far, lambda _: next(answers, [])):
        told = list(watching({FOUR: FAR}))
    assert [(seen.mac, seen.macs) for _, seen in told] == [(OTHER, (OTHER,)), (FAR, (OTHER, FAR))]


def test_a_machine_that_makes_up_macs_fills_no_memory(far: Namespace) -> None:
    made_up = [reply(f"02:00:00:00:01:{i:02x}") for i in range(100)]
    with reacting(far, always(*made_up, reply(FAR))):
        found = neighbours.neighbours("near", {FOUR: FAR}, deadline_s=5)
    assert (found[FOUR].mac, len(found[FOUR].macs)) == (FAR, 9)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(reply(FAR)[:12] + b"\x81\0\0\x05" + reply(FAR)[12:], id="of another VLAN"),
        pytest.param(reply(FAR, to=OTHER), id="to somebody else"),
        pytest.param(reply(FAR, address=ABSENT), id="about another address"),
        pytest.param(reply("01:00:5e:00:00:01"), id="from a group"),
        pytest.param(reply(FAR)[:30], id="cut"),
        pytest.param(frames.arp_request(FOUR, FAR, FOUR), id="not an answer"),
    ],
)
def test_what_answers_nothing_of_ours_does_not_count(far: Namespace, frame: bytes) -> None:
    with reacting(far, always(frame)):
        assert neighbours.neighbours("near", {FOUR: FAR}, deadline_s=0.1) == {}


def test_an_answer_that_leaves_by_the_device_does_not_count(far: Namespace) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as beside:
        beside.bind(("near", 0))

        def echoed(_request: bytes) -> list[bytes]:
            beside.send(reply(FAR))
            return []

        with reacting(far, echoed):
            assert neighbours.neighbours("near", {FOUR: FAR}, deadline_s=0.1) == {}


def test_a_guest_that_comes_up_later_is_told_when_it_does(far: Namespace) -> None:
    answers = iter([[], [], [], [reply(FAR)]])
    with reacting(far, lambda _: next(answers, [])) as requests:
        address, seen = next(watching({FOUR: FAR}))
    assert (address, seen.mac, len(requests), seen.seconds >= 0.15) == (FOUR, FAR, 4, True)


def test_watching_lets_a_booting_guest_keep_its_ipv6_address(far: Namespace) -> None:
    with far.entered():
        ip(f"addr add {SIX}/64 dev far")
    found = dict(watching({SIX: FAR}))
    with far.entered():
        lines = Path("/proc/thread-self/net/if_inet6").read_text().splitlines()
    flags = [int(line.split()[4], 16) for line in lines if line.startswith("fd00")]
    assert (list(found), flags) == ([SIX], [0x80])  # IFA_F_PERMANENT alone, no IFA_F_DADFAILED


def test_no_target_is_asked_for_more_than_twenty_times_a_second(far: Namespace) -> None:
    with reacting(far, always()) as requests:
        with Wire("near") as wire:
            assert not list(neighbours.watch(wire, {FOUR: FAR}, 0.5, every_s=0.001))
        assert 2 <= len(requests) <= 11


def test_nobody_to_ask_for_asks_nothing() -> None:
    assert neighbours.neighbours("no such device", {}, deadline_s=60) == {}


@pytest.mark.usefixtures("guest")
def test_a_device_that_goes_down_meanwhile_is_told() -> None:
    answers = watching({FOUR: FAR, ABSENT: OTHER})
    next(answers)
    ip("link set dev near down")
    with pytest.raises(VmnetError, match="near is down, or went down meanwhile"):
        next(answers)


@pytest.mark.usefixtures("guest")
def test_a_device_that_goes_away_meanwhile_is_told() -> None:
    answers = watching({FOUR: FAR, ABSENT: OTHER})
    next(answers)
    ip("link del dev near")
    with pytest.raises(VmnetError, match="near"):
        next(answers)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(
    ("device", "what", "fix"),
    [
        ("nope", "there is no device nope", "see what there is: ip link"),
        ("n" * 16, f"there is no device {'n' * 16}", "see what there is: ip link"),
        (
            "lo",
            "lo is not an Ethernet device: it cannot ask for neighbours",
            "name an Ethernet device, not a loopback or a tunnel",
        ),
        ("down", "down is down, or went down meanwhile", "ip link set dev down up"),
    ],
)
def test_a_device_that_cannot_ask_is_told_with_the_way_out(
    device: str, what: str, fix: str
) -> None:
    ip("link add name down type veth peer name other")
    with pytest.raises(VmnetError) as told:
        neighbours.neighbours(device, {FOUR: FAR}, deadline_s=1)
    assert (told.value.what, told.value.fix) == (what, fix)


@contextmanager
def without_rights() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(
    "probing",
    [
        lambda: neighbours.neighbours("near", {FOUR: FAR}, deadline_s=1),
        lambda: neighbours.ping([FOUR], device="near", deadline_s=1),
    ],
    ids=["neighbours", "ping"],
)
def test_a_missing_right_is_named(probing: Callable[[], object]) -> None:
    with without_rights(), pytest.raises(VmnetError, match="CAP_NET_RAW is missing"):
        probing()
