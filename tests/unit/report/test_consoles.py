"""Consoles are shown when they say something: of dead guests, and with a kernel's trouble."""

from dataclasses import replace

import pytest

from provisioner.report.consoles import shown
from provisioner.report.report import Report
from tests.builders.report import DEAD, report

BOOT = [f"[    0.{n:02}] device {n} is there" for n in range(40)]


def with_consoles(consoles: dict[str, list[str]], *down: str) -> Report:
    texts = tuple((vm, "\n".join(lines)) for vm, lines in consoles.items())
    return replace(report(DEAD), consoles=texts, down=down)


def test_what_a_guest_that_is_up_says_while_it_boots_is_not_shown() -> None:
    assert list(shown(with_consoles({"a": BOOT}), 0)) == []


def test_the_end_of_a_dead_guests_console_is_shown() -> None:
    assert list(shown(with_consoles({"a": BOOT, "b": []}, "a", "b"), 0)) == [
        "the last lines of a's console:",
        *(f"  | {line}" for line in BOOT[-20:]),
        "the last lines of b's console:",
        "  | (it has said nothing)",
    ]


@pytest.mark.parametrize(
    "said",
    [
        "[   12.345678] Kernel panic - not syncing: sysrq triggered crash",
        "[    3.210000] Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "BUG: unable to handle page fault for address: 0000000000001234",
        "general protection fault, probably for non-canonical address",
        "Out of memory: Killed process 123 (postgres)",
        "watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
        "INFO: task kworker/0:1:12 blocked for more than 120 seconds.",
        "VFS: Unable to mount root fs on unknown-block(0,0)",
        "blk_update_request: I/O error, dev vda, sector 2048",
        "You are in emergency mode. After logging in, type ...",
        "[FAILED] Failed to start systemd-networkd.service",
    ],
)
def test_trouble_of_a_guest_that_is_up_is_shown_from_where_it_begins(said: str) -> None:
    lines = list(shown(with_consoles({"a": [*BOOT[:10], said, *BOOT[10:]]}), 0))
    assert lines[:4] == [
        "the last lines of a's console:", f"  | {BOOT[8]}", f"  | {BOOT[9]}", f"  | {said}",
    ]  # fmt: skip
    assert len(lines) == 21


def test_of_many_dead_guests_three_consoles_are_shown_and_the_others_named() -> None:
    many = {f"web{n}": ["x"] for n in range(1, 6)}
    lines = list(shown(with_consoles(many, *many), 0))
    assert lines[::2] == [
        *(f"the last lines of web{n}'s console:" for n in (1, 2, 3)),
        "the consoles of web4, web5 tell more: vmnet logs web4",
    ]


def test_on_a_narrow_terminal_each_part_of_a_line_is_marked() -> None:
    said = "lab: all 12 measurements are as expected " * 4
    lines = list(shown(with_consoles({"a": [said]}, "a"), 60))
    assert len(lines) == 4
    assert all(line.startswith("  | ") and len(line) <= 60 for line in lines[1:])
