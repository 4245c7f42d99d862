"""Which guests' consoles say something: the one of a dead guest, and one with a kernel's trouble.

What a healthy guest says while it boots explains no red cell, and hides what does.
"""

import re
from collections.abc import Iterator
from typing import Final

from provisioner.pattern import pattern
from provisioner.report.layout import paragraph
from provisioner.report.report import Report

_TROUBLE: Final = pattern(
    r"Kernel panic|\bOops\b|\bBUG:|general protection fault|Call Trace|segfault at|"
    r"Out of memory|oom-kill|soft lockup|blocked for more than|detected stall|"
    r"Unable to mount root|I/O error|emergency mode|Failed to start|NETDEV WATCHDOG",
    re.IGNORECASE,
)
_LINES: Final = 20  # of a console that are shown
_BEFORE: Final = 2  # of them before the first sign of trouble
_MOST: Final = 3  # consoles that are shown; the rest is named


def telling(report: Report) -> Iterator[tuple[str, str]]:
    """Return the consoles that say something: whose, and the part that matters."""
    for vm, text in report.consoles:
        lines = text.splitlines()
        first = next((n for n, line in enumerate(lines) if _TROUBLE.search(line)), None)
        if first is not None:
            start = max(0, min(first - _BEFORE, len(lines) - _LINES))
            yield vm, "\n".join(lines[start : start + _LINES])
        elif vm in report.down:
            yield vm, "\n".join(lines[-_LINES:])


def shown(report: Report, width: int) -> Iterator[str]:
    """Return them as lines of a width, 0 for a log's; each of a guest's is indented and marked.

    So none can be taken for one of ours, or for a command to a CI runner.
    """
    every = list(telling(report))
    for vm, text in every[:_MOST]:
        yield f"the last lines of {vm}'s console:"
        for line in text.splitlines() or ["(it has said nothing)"]:
            yield from paragraph(line, width, "  | ", "  | ")
    if others := [vm for vm, _ in every[_MOST:]]:
        vm = others[0]
        yield f"the consoles of {', '.join(others)} tell more: vmnet logs {vm}"
