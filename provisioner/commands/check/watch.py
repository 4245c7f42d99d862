"""Measure again and again, and report what has changed from one round to the next."""

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioner.errors import VmnetError
from provisioner.host.system import programs
from provisioner.text import one_line

_LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one round has found: by what was asked, what was observed."""

    at: str  # the time of day
    status: int
    summary: str
    observed: dict[str, str]
    reasons: dict[str, str]


def rounds(words: Sequence[str], every_s: float) -> Iterator[Round]:
    """Run `vmnet check` again and again, `every_s` seconds between the starts of two.

    Raises VmnetError when it prints no report.
    """
    pause = threading.Event()
    while True:
        started = time.monotonic()
        yield _round(words)
        pause.wait(max(0.0, every_s - (time.monotonic() - started)))


def changes(before: Mapping[str, str] | None, now: Round) -> Iterator[str]:
    """Return each change as a line; in the first round everything that is not as expected."""
    for asked, observed in now.observed.items():
        was = observed if before is None else before.get(asked, "not asked")
        reason = now.reasons.get(asked, "")
        if was != observed or (before is None and reason):
            change = observed if before is None else f"{was} -> {observed}"
            yield f"{now.at} {asked}: {change}{': ' if reason else ''}{reason}"
    for asked in (before or {}).keys() - now.observed.keys():
        yield f"{now.at} {asked}: {(before or {})[asked]} -> not asked"


def _round(words: Sequence[str]) -> Round:
    argv = [sys.executable, "-m", "provisioner", "check", "--json", *words]
    ran = programs.run(argv, timeout_s=_LONGEST_S, check=False)
    at = time.strftime("%H:%M:%S")
    try:
        report = json.loads(ran.stdout)
    except ValueError as error:
        printed = programs.last_lines(ran.stderr or ran.stdout)
        raise VmnetError(
            f"a round has printed no report: {printed}", fix="run vmnet check"
        ) from error
    if "results" not in report:
        what = "; ".join(one_line(str(e.get("what"))) for e in report.get("errors", ()))
        return Round(at, int(report["status"]), what, {"the check": what}, {})
    asked = {_asked(r): r for r in report["results"]}
    return Round(
        at,
        int(report["status"]),
        str(report["summary"]),
        {name: str(r["observed"]) for name, r in asked.items()},
        {name: str(r["finding"]["what"]) for name, r in asked.items() if r["finding"]},
    )


def _asked(r: Mapping[str, object]) -> str:
    asked = "" if r["asked"] == "ping" else f" {r['asked']}"
    return f"{r['from']} -> {r['to']}{asked} {r['address']} ({r['expected']})"
