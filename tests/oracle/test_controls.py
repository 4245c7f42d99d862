"""Each part of a control, taken away from a network of light ends, is named; nothing is green.

So every part that the check looks at has a network in which it alone is missing.
"""

import pytest

from tests.oracle import light_check
from tests.oracle.grammar import Fault, LightNetwork, Moment, Scenario
from tests.oracle.light_faults import broken
from tests.oracle.light_lab import HOST, OTHER_MAC, address, light_lab

APART = LightNetwork(("private", "private"), hairpin=False, lists=(frozenset(), frozenset()))
TOGETHER = LightNetwork(("bridge", "bridge"), hairpin=False, lists=(frozenset(), frozenset()))
REFLECTED = LightNetwork(("bridge", "bridge"), hairpin=True, lists=(frozenset(), frozenset()))
CLOSED = LightNetwork(("bridge", "source"), hairpin=False, lists=(frozenset(), frozenset()))


def lacks(
    network: LightNetwork, *kinds: tuple[str, int], source: str = "e0", late: bool = False
) -> set[str]:
    """Break an end each; return what is missing for `source` to be apart from e1, both versions."""
    faults = tuple(Fault(kind, Moment.BEFORE, end, 1 - end) for kind, end in kinds)
    forbidden = {TOGETHER: ((0, 1),), REFLECTED: ((HOST, 1),)}.get(network, ())
    scenario = Scenario(0, network, faults, frozenset({0, 1}), forbidden)
    with light_lab(network) as lab:
        for fault in faults:
            broken(lab, fault)
        lab.ends[1].tell(late=late)
        results = light_check.checked(lab, scenario, lambda: None)
    cells = [r for r in results if (r.pair.source, r.pair.target) == (source, "e1")]
    if forbidden:
        cells = [r for r in cells if "check" in r.pair.why]
    assert len(cells) == 2, cells
    assert all(r.met == (r.not_shown is None) for r in cells), "what is not shown is not green"
    return {r.not_shown.what if r.not_shown else "shown" for r in cells}


def test_two_private_ends_on_a_network_that_is_well_are_shown_to_be_apart() -> None:
    assert lacks(APART) == {"shown"}


@pytest.mark.parametrize(
    ("kind", "end", "missing"),
    [
        ("deaf", 1, "e1 has not answered who-has put in at the uplink either"),
        ("macvtap drops what comes", 1, "e1 has not answered who-has put in at the uplink either"),
        ("macvtap drops what goes", 0, "nothing that e0 sent to e1 was seen to leave it"),
        ("mute", 0, "nothing that e0 sent to e1 was seen to leave it"),
        (
            "macvtap has another MAC",
            0,
            "e0 has not answered who-has put in at the uplink either",
        ),
        ("uplink drops what goes", 0, "what e0 sent never left by nic0"),
        (
            "uplink drops what comes",
            0,
            "nothing that is put in at nic0 is answered by any guest there",
        ),
        (
            "switch drops all",
            0,
            "nobody beyond nic0 has answered, so nothing shows that frames pass it",
        ),
        ("no carrier", 0, "the uplink nic0 has no carrier"),
        ("uplink down", 0, "the uplink nic0 is down"),
    ],
)
def test_each_part_of_a_control_that_is_missing_is_named(kind: str, end: int, missing: str) -> None:
    assert lacks(APART, (kind, end)) == {missing}


def test_who_got_as_far_as_a_ping_needs_one_as_its_control() -> None:
    both = ("knows everybody", 0), ("pings dropped", 1)
    assert lacks(APART, both[0]) == {"shown"}
    assert lacks(APART, *both) == {"e1 has not answered a ping put in at the uplink either"}


def test_an_end_that_hears_nobody_has_to_be_seen_to_send() -> None:
    drops = ("macvtap drops what goes", 1)
    assert lacks(CLOSED) == {"shown"}
    assert lacks(CLOSED, drops) == {
        "nothing that e1 sent was seen to leave it, so it could not have answered"
    }


def test_packets_that_went_to_a_mac_of_neither_end_are_no_isolation() -> None:
    assert lacks(TOGETHER, ("knows a peer wrongly", 0)) == {
        f"what e0 sent to {address(1, version)} of e1 went to the MAC {OTHER_MAC}, "
        "which e1 does not have"
        for version in (4, 6)
    }


def test_an_answer_that_its_guest_has_not_taken_is_no_isolation() -> None:
    assert lacks(TOGETHER, ("deaf", 0)) == {
        "an answer of e1 came to e0, which did not take it in time"
    }


def test_an_answer_to_the_host_that_comes_when_nobody_waits_for_it_is_no_isolation() -> None:
    late = "an answer of e1 came to host, which did not take it in time"
    assert lacks(REFLECTED, source="host", late=True) == {late}
