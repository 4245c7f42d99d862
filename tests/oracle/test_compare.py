"""The oracle's own judgement: when vmnet is wrong of a cell, and when it is not."""

from dataclasses import replace

import pytest

from tests.oracle.compare import Claim, disagreements
from tests.oracle.grammar import KINDS, Moment, scenario
from tests.oracle.guest_grammar import KINDS as GUEST_KINDS
from tests.oracle.guest_grammar import guest_scenario
from tests.oracle.light_faults import known_kinds
from tests.oracle.truth import Cell, Truth

CELL = Cell(0, 1, 4)
BOTH = frozenset({(0, 4), (1, 4)})
SILENT = Truth(
    reached=frozenset(),
    by_another=frozenset(),
    typing=frozenset({0, 1}),
    left=BOTH,
    outside=BOTH,
    alive=BOTH,
    awake=BOTH,
    apart=frozenset(),
)
REACHED = replace(SILENT, reached=frozenset({CELL}))
IMPOSTOR = replace(SILENT, by_another=frozenset({CELL}))
FROZEN_SOURCE = replace(SILENT, typing=frozenset({1}))
MUTE_SOURCE = replace(SILENT, left=frozenset({(1, 4)}))
CUT_SOURCE = replace(SILENT, outside=frozenset({(1, 4)}))
DEAF_SOURCE = replace(SILENT, alive=frozenset({(1, 4)}))
DEAF_TARGET = replace(SILENT, alive=frozenset({(0, 4)}))
DEAD_TARGET = replace(SILENT, alive=frozenset({(0, 4)}), awake=frozenset({(0, 4)}))
DEAD_TARGET_APART = replace(DEAD_TARGET, apart=frozenset({1}), left=frozenset({(0, 4)}))
TARGET_APART = replace(DEAD_TARGET, apart=frozenset({1}))


def wrong(claim: Claim, *truths: Truth, broken: bool = True) -> list[str]:
    return [x.truth for x in disagreements([(CELL, claim)], truths, broken=broken)]


@pytest.mark.parametrize(
    ("claim", "truth", "why"),
    [
        (Claim.REACHES, REACHED, ""),
        (Claim.REACHES, SILENT, "no ping is answered"),
        (Claim.REACHES, IMPOSTOR, "another one answers"),
        (Claim.SILENT, SILENT, ""),
        (Claim.SILENT, IMPOSTOR, ""),
        (Claim.SILENT, REACHED, "pings are answered"),
        (Claim.ISOLATED, SILENT, ""),
        (Claim.ISOLATED, TARGET_APART, ""),
        (Claim.ISOLATED, REACHED, "pings are answered"),
        (Claim.ISOLATED, FROZEN_SOURCE, "its source does nothing"),
        (Claim.ISOLATED, MUTE_SOURCE, "nothing leaves its source"),
        (Claim.ISOLATED, CUT_SOURCE, "nothing of its source gets to the LAN"),
        (Claim.ISOLATED, DEAF_SOURCE, "its source answers nobody"),
        (Claim.ISOLATED, DEAF_TARGET, ""),
        (Claim.ISOLATED, DEAD_TARGET, "its target answers nobody"),
        (Claim.ISOLATED, DEAD_TARGET_APART, "its target answers nobody"),
        (Claim.NOTHING, REACHED, ""),
        (Claim.UNKNOWABLE, REACHED, ""),
    ],
)
def test_a_claim_is_held_to_what_the_oracle_has_seen(claim: Claim, truth: Truth, why: str) -> None:
    assert wrong(claim, truth) == [why] * bool(why)


def test_of_a_network_that_changes_one_of_its_states_is_enough() -> None:
    assert wrong(Claim.REACHES, SILENT, REACHED) == []
    assert wrong(Claim.ISOLATED, DEAD_TARGET, SILENT) == []
    # Silent while nothing got out, and reached when it did: never isolated.
    assert wrong(Claim.ISOLATED, CUT_SOURCE, REACHED) == ["pings are answered"]


def test_not_shown_is_no_answer_while_nothing_is_broken() -> None:
    assert wrong(Claim.NOTHING, SILENT, broken=False) == ["nothing is broken"]
    assert wrong(Claim.UNKNOWABLE, SILENT, broken=False) == []


def test_a_seed_is_the_same_scenario_each_time() -> None:
    assert [str(scenario(n)) for n in range(50)] == [str(scenario(n)) for n in range(50)]
    assert len({str(scenario(n)) for n in range(50)}) == 50


def test_each_kind_of_fault_is_drawn_and_can_be_made() -> None:
    drawn = {fault.kind for n in range(2000) for fault in scenario(n).faults}
    assert drawn == KINDS.keys() == known_kinds()


def test_a_seed_of_guests_is_the_same_each_time_and_all_kinds_are_drawn() -> None:
    drawn = [guest_scenario(n) for n in range(1000)]
    assert [str(one) for one in drawn] == [str(guest_scenario(n)) for n in range(1000)]
    names = {fault.name.partition(" (")[0] for one in drawn for fault in one.faults}
    kinds = {make("a", "b").name.partition(" (")[0] for make in GUEST_KINDS.values()}
    assert kinds <= names


def test_only_the_last_fault_comes_or_passes_meanwhile() -> None:
    faults = [scenario(n).faults for n in range(500)]
    assert {x.moment for some in faults for x in some[:-1]} == {Moment.BEFORE}
    assert {x.moment for some in faults for x in some[-1:]} == set(Moment)
    assert {len(some) for some in faults} == {0, 1, 2}
