"""Asking in guests' places: real macvtaps whose ends are held as QEMU would hold them."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from provisioner.host.probe import mesh
from provisioner.host.probe.mesh import Ask
from tests.host_tools.macvtap_lab import end, lab
from tests.host_tools.namespace import ip
from tests.host_tools.tap_peer import TapEnd

OTHER = "02:00:00:00:00:99"


def ask(source: TapEnd, target: TapEnd) -> Ask:
    return Ask(source.link, source.mac, target.address, target.mac, target.link)


def outside(source: TapEnd, target: TapEnd) -> Ask:
    """Ask for somebody whose device is not known, and anybody may answer."""
    return Ask(source.link, source.mac, target.address)


def reached(asks: Sequence[Ask], deadline_s: float = 0.3) -> list[bool]:
    seen = mesh.answered(asks, deadline_s).seen
    return [one in seen for one in asks]


def test_bridge_guests_reach_each_other_in_a_full_mesh() -> None:
    ends = [end(n) for n in range(1, 9)]
    with lab(ends, "bridge"):
        asks = [ask(a, b) for a in ends for b in ends if a is not b]
        heard = mesh.answered(asks, 2.0)
    assert {one: seen.macs for one, seen in heard.seen.items()} == {
        one: (one.target_mac,) for one in asks
    }
    assert (heard.unicast_only, heard.untested) == ({}, {})


@pytest.mark.parametrize(
    ("modes", "hairpin", "broadcast", "unicast"),
    [
        (("private", "private"), False, False, False),
        (("private", "private"), True, False, True),
        (("vepa", "vepa"), False, False, False),
        (("vepa", "vepa"), True, True, True),
        (("bridge", "private"), False, False, False),
    ],
)
def test_each_mode_passes_what_the_truth_table_says(
    modes: tuple[str, str],
    hairpin: bool,  # noqa: FBT001
    broadcast: bool,  # noqa: FBT001
    unicast: bool,  # noqa: FBT001
) -> None:
    a, b = end(1), end(2)
    with lab([a, b], *modes, hairpin=hairpin):
        heard = mesh.answered([ask(a, b)], 0.3)
        asked_everybody = reached([outside(a, b)])
    assert (ask(a, b) in heard.seen, ask(a, b) in heard.unicast_only) == (
        broadcast,
        unicast and not broadcast,
    )
    assert asked_everybody == [broadcast]


def test_the_same_address_is_asked_for_in_two_ways_without_mixing_up_the_answers() -> None:
    a, b = end(1), end(2)
    with lab([a, b], "private", hairpin=True):
        heard = mesh.answered([ask(a, b), outside(a, b)], 0.3)
    assert (list(heard.seen), list(heard.unicast_only)) == ([], [ask(a, b)])
    with lab([a, b], "bridge"):
        heard = mesh.answered([ask(a, b), outside(a, b)], 0.3)
    assert set(heard.seen) == {ask(a, b), outside(a, b)}


def test_who_answers_besides_the_expected_one_is_told() -> None:
    a, b = end(1), end(2)
    rival = TapEnd("tap3", "02:00:00:00:01:03", b.address)
    with lab([a, b, rival], "bridge"):
        (seen,) = mesh.answered([outside(a, b)], 1.0).seen.values()
    assert sorted(seen.macs) == [b.mac, rival.mac]


def test_an_answer_that_names_another_mac_is_told_but_is_not_the_expected_one() -> None:
    a, b = end(1), end(2, claims=OTHER)
    with lab([a, b], "bridge"):
        (seen,) = mesh.answered([ask(a, b)], 0.3).seen.values()
    assert (seen.mac, seen.macs) == (OTHER, (OTHER,))


def test_the_silent_do_not_hold_up_the_others() -> None:
    a, b, c = end(1), end(2, silent=True), end(3)
    with lab([a, b, c], "bridge"):
        assert reached([ask(a, b), ask(a, c), ask(c, b)], 0.2) == [False, True, False]


def test_a_device_that_is_not_there_loses_only_its_own_questions() -> None:
    a, b = end(1), end(2)
    gone = Ask("nowhere", OTHER, ip_address("10.0.0.1"))
    with lab([a, b], "bridge"):
        heard = mesh.answered([gone, ask(a, b)], 0.5)
    assert list(heard.seen) == [ask(a, b)]
    assert list(heard.untested) == [gone]
    assert "nowhere" in heard.untested[gone]


def test_a_tap_that_is_down_is_told_of_not_silent() -> None:
    a, b = end(1), end(2)
    with lab([a, b], "bridge"):
        ip("link set tap1 down")
        heard = mesh.answered([ask(a, b), ask(b, a)], 0.2)
    assert heard.seen == {}
    assert list(heard.untested) == [ask(a, b)]


def test_nothing_to_ask_takes_no_time() -> None:
    assert mesh.answered([], 5.0) == mesh.MeshAnswers({}, {}, {})
