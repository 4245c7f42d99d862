"""A check as text: it fits, nothing is folded, and each cell is told whatever the names are."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.check.result import Finding, Result
from provisioner.report import terminal
from provisioner.report.layout import Line, shortened, table
from provisioner.report.matrix import MEANING
from provisioner.report.report import Report
from tests.builders.report import APART, GOOD, LEAK, pair, report

GOLDEN = Path(__file__).parent / "golden"
LONG = (
    "customer-a-production-web-frontend-with-a-name-of-63-chars-0001",
    "customer-a-staging-web-frontend-with-a-long-name-of-63-chars-01",
    "db",
)


def mesh(names: Iterable[str], dead: str = "") -> Report:
    """Everybody is asked by everybody, and one of them is dead."""
    why = f"{dead} is not up: it has ended (crashed), 3.5 s after it had last been heard of"
    seen = tuple(f"event {n} of libvirt" for n in range(6))
    finding = Finding(why, f"look at what it said: vmnet logs {dead}", seen, dead)
    results = []
    for source, target in permutations(names, 2):
        good = replace(GOOD, pair=pair(source=source, target=target), note="ping of 1500 bytes")
        bad = replace(good, reached=None, seconds=None, note="not up", finding=finding, by=None)
        results.append(bad if dead in {source, target} else good)
    return report(*results)


def text(lines: Iterable[Line]) -> list[str]:
    return ["".join(part.text for part in line).rstrip() for line in lines]


CASES = {
    "small": (mesh(("a", "b", "host")), 80, False),
    "rows": (mesh(("a", "b", "host"), "b"), 100, True),
    "narrow_rows": (mesh(("a", "b"), "b"), 60, True),
    "long_names": (mesh(LONG), 80, False),
    "twelve": (mesh([f"web{n}" for n in range(1, 13)], "web7"), 100, False),
    "fifty": (mesh([f"node{n:02}" for n in range(1, 51)], "node07"), 80, False),
    "log": (mesh(LONG, "db"), 0, False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_check_is_shown_as_the_golden_one(case: str) -> None:
    told, width, every = CASES[case]
    found = text(terminal.check(told, width, every=every))
    assert found == (GOLDEN / f"{case}.txt").read_text().splitlines()


names = st.text(st.sampled_from("ab1-"), min_size=1, max_size=63)


@given(st.lists(names, min_size=2, max_size=14, unique=True), st.sampled_from([80, 100]))
def test_no_line_is_wider_than_the_terminal(ends: list[str], width: int) -> None:
    for line in text(terminal.check(mesh(ends, ends[0]), width, every=True)):
        assert len(line) <= width


@given(st.lists(names, min_size=2, max_size=14, unique=True))
def test_each_cell_is_in_the_matrix(ends: list[str]) -> None:
    found = terminal.check(mesh(ends, ends[0]), 80)
    matrix = [line for line in found if any(part.style in {"good", "warn"} for part in line)]
    cells = [part for line in matrix for part in line if part.style in {"good", "warn"}]
    assert len(cells) == len(ends) * (len(ends) - 1)
    assert {part.style for part in cells if "?" in part.text} == {"warn"}


@given(st.lists(names, max_size=14), st.integers(16, 40))
def test_names_that_are_made_shorter_still_differ(ends: list[str], most: int) -> None:
    found = shortened(ends, most)
    assert found.keys() == set(ends)
    assert len(set(found.values())) == len(found)
    assert all(len(short) <= most for short in found.values())


def test_a_name_keeps_its_beginning_and_its_end() -> None:
    (short,) = shortened(["frontend-of-the-shop-12"], 16).values()
    assert short == "frontend…shop-12"


def test_names_alike_at_both_ends_are_told_by_what_differs() -> None:
    two = ["customer-a-production-web-frontend-1", "customer-a-staging-web-frontend-1"]
    assert list(shortened(two, 20).values()) == ["…productio…rontend-1", "…staging-w…rontend-1"]


def test_a_silence_that_is_not_shown_has_a_sign_of_its_own() -> None:
    class Unshown(Result):
        observed = "not shown"
        met = False

    silence = Unshown(APART.pair, APART.address, reached=False)
    lines = list(terminal.check(report(silence), 80))
    (cell,) = [part for line in lines for part in line if part.style == "warn"]
    assert cell.text == "○ not shown"
    assert MEANING["○"] == "not shown"
    (worse,) = [
        part
        for line in terminal.check(report(silence, LEAK), 80)
        for part in line
        if part.text.startswith("!")
    ]
    assert (worse.text, worse.style) == ("! LEAK 1/2", "bad")


cells = st.lists(st.text("abc/.-", min_size=1, max_size=30), max_size=5).map(" ".join)


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=2, max_size=5)
    ),
    st.sampled_from([0, 40, 80, 200]),
)
def test_a_table_keeps_every_word_whole_and_fits(rows: list[list[str]], width: int) -> None:
    lines = text(table(rows, width))
    told = " ".join(lines).split()
    for row in rows[1:]:
        for word in " ".join(row).split():
            assert word in told
    longest = [
        max([len(w) for cell in column for w in cell.split()] or [0])
        for column in zip(*rows, strict=True)
    ]
    if width and sum(longest) + 2 * (len(longest) - 1) <= width:
        assert max(map(len, lines)) <= width
    if not width:
        assert len(lines) == len(rows)


def test_a_cell_is_folded_between_words_and_its_row_stays_together() -> None:
    rows = [("VM", "addresses"), ("web1", "10.0.0.1/24 fd00::1/64"), ("web2", "10.0.0.2/24")]
    assert text(table(rows, 20)) == [
        "VM    addresses",
        "web1  10.0.0.1/24",
        "      fd00::1/64",
        "web2  10.0.0.2/24",
    ]
