"""Measure again and again, and at once when something happens; report what has changed."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import field
from typing import Any, Final

from provisioner.check.readiness import NO_AGENT
from provisioner.commands.check.happenings import Happenings, WatchedVm
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.system import processes, programs
from provisioner.host.system.programs import Background, Finished
from provisioner.text import one_line

_TICK_S: Final = 0.25  # what has no event is looked at as often


@dataclass(frozen=True, slots=True)
class Round:
    """What one round has found: by what was asked, what was observed."""

    at: str  # the time of day
    status: int
    summary: str
    observed: dict[str, str]
    reasons: dict[str, str]
    findings: dict[str, str] = field(default_factory=dict)  # what concerns no pair, and about whom
    vms: tuple[WatchedVm, ...] | None = None  # those that run; None: it could not be found out

    @property
    def silent(self) -> frozenset[str]:
        """The VMs whose agents have not answered."""
        return frozenset(vm for what, vm in self.findings.items() if NO_AGENT in what)


def news(words: Sequence[str], every_s: float, happenings: Happenings) -> Iterator[Round | str]:
    """Run `vmnet check` again and again, `every_s` seconds between the starts of two.

    What happens meanwhile is a line of its own, and the next round comes at once. Raises VmnetError
    when a round prints no report.
    """
    due = time.monotonic()
    argv = [*processes.vmnet(), "check", "--json", *words]
    running: Background | None = None
    with ExitStack() as stack:
        while True:
            if running is None and time.monotonic() >= due:
                due = time.monotonic() + every_s
                running = stack.enter_context(Background(argv))
            lines = happenings.within(_TICK_S, running.pidfd if running else None)
            if running is None and not lines:
                lines = happenings.silences()
            for line in lines:
                yield f"{time.strftime('%H:%M:%S')} {line}"
                due = 0.0
            if running and running.has_ended:
                found = _round(running.finished())
                stack.close()
                running = None
                if found.vms is not None:
                    happenings.watch(found.vms, found.silent)
                yield found


def changes(before: Round | None, now: Round) -> Iterator[str]:
    """Return each change as a line; in the first round everything that is not as expected."""
    for line in _of_first(now) if before is None else _since(before, now):
        yield f"{now.at} {line}"


def _of_first(now: Round) -> Iterator[str]:
    for asked, reason in now.reasons.items():
        yield f"{asked}: {now.observed[asked]}: {reason}"
    yield from now.findings


def _since(before: Round, now: Round) -> Iterator[str]:
    for asked, observed in now.observed.items():
        was = before.observed.get(asked, "not asked")
        if was != observed:
            reason = now.reasons.get(asked, "")
            yield f"{asked}: {was} -> {observed}{': ' if reason else ''}{reason}"
    for asked in before.observed.keys() - now.observed.keys():
        yield f"{asked}: {before.observed[asked]} -> not asked"
    yield from (what for what in now.findings if what not in before.findings)
    yield from (f"no more: {what}" for what in before.findings if what not in now.findings)


def _round(ran: Finished) -> Round:
    try:
        return read(json.loads(ran.stdout), time.strftime("%H:%M:%S"))
    except ValueError as error:
        printed = programs.last_lines(ran.stderr or ran.stdout)
        raise VmnetError(
            f"a round has printed no report: {printed}", fix="run vmnet check"
        ) from error


def read(report: Mapping[str, Any], at: str) -> Round:
    """Return a round from its report, as `vmnet check --json` prints it."""
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
        {str(f["what"]): str(f["about"]) for f in report["findings"]},
        tuple(map(_vm, report["vms"])),
    )


def _vm(vm: Mapping[str, Any]) -> WatchedVm:
    indexes = (str(tap).removeprefix("/dev/tap") for tap in vm["taps"])
    return WatchedVm(str(vm["name"]), int(vm["pid"]), tuple(int(x) for x in indexes))


def _asked(r: Mapping[str, object]) -> str:
    asked = "" if r["asked"] == "ping" else f" {r['asked']}"
    return f"{r['from']} -> {r['to']}{asked} {r['address']} ({r['expected']})"
