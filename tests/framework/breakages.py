"""A table of breakages: each fault, and the sentences that the check has to say about it.

    python -m tests.framework.breakages [-k PART] [MODULE...]

makes them one at a time and prints name, exit status, how good the verdict was, and the sentences.
"""

import argparse
import importlib
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.framework.faults import Fault, Moment
from tests.framework.lab import Lab, until
from tests.framework.running import Ran
from tests.framework.stage import Stage

MODULES = tuple(
    f"tests.guests.test_breakages_{x}" for x in ("uplink", "switch", "isolation", "leases")
)
INSIDE = (
    r"something inside|firewall of|such as its firewall"  # an accusation of a guest's own software
)
DEAD = rf"{INSIDE}|it answers on the wire"  # nor may this be said of a dead guest
NOT_SHOWN = r"silence alone is no isolation: "
UNEXPLAINED = r"no reason was found|by a way that was not found"
DRIFT = r"the host is not as the plan says"


class Verdict(StrEnum):
    """How good a check's verdict is."""

    RIGHT = "right"  # all sentences are the predicted ones, and so is the status
    PARTLY = "partly"  # it is red, and a sentence is missing or was not predicted
    WRONG = "wrong"  # somebody innocent is accused
    NONE = "none"  # green, and a promise is broken


@dataclass(frozen=True, slots=True)
class Breakage:
    """A fault, and what the check has to say of it; patterns, found anywhere in a sentence."""

    fault: Fault
    says: str  # the right cause
    also: str = ""  # other sentences that are true, and need not be said
    never: str = INSIDE  # what would accuse somebody innocent
    checks: tuple[str, ...] = ()  # lines instead of the plan's own
    status: int = 5
    passes: bool = False  # it goes by itself when the check begins to look for its reason

    def __str__(self) -> str:
        return ", ".join((self.fault.name, *self.checks))


def harmless(fault: Fault, checks: tuple[str, ...] = ()) -> Breakage:
    """Return what breaks no promise, so that nothing may be said of it."""
    return Breakage(fault, says="", never=".", checks=checks, status=0)


def filtered(place: str, chain: str = "c") -> str:
    """Return the pattern of the sentence that names the filter of a fault at its place."""
    return rf"nftables chain {chain} of table netdev bad drops frames at the {place}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the check has said of a breakage."""

    breakage: Breakage
    status: int
    sentences: tuple[str, ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """Return how good it is."""
        b = self.breakage
        if b.never and any(re.search(b.never, x) for x in self.sentences):
            return Verdict.WRONG
        if bool(b.status) != bool(self.status):
            return Verdict.NONE if b.status else Verdict.WRONG
        said = not b.says or any(re.search(b.says, x) for x in self.sentences)
        known = [x for x in (b.says, b.also, NOT_SHOWN) if x]
        meant = all(
            any(re.search(x, y) for x in known) and not re.search(UNEXPLAINED, y)
            for y in self.sentences
        )
        right = said and meant and self.status == b.status
        return Verdict.RIGHT if right else Verdict.PARTLY

    def __str__(self) -> str:
        head = f"{self.verdict:6} {self.status} {self.seconds:5.1f} s  {self.breakage}"
        return "\n".join((head, *(f"                  | {x}" for x in self.sentences)))


def sentences(report: Any) -> tuple[str, ...]:  # noqa: ANN401  (JSON)
    """Return every sentence about what is wrong, each once."""
    if "errors" in report:
        return tuple(error["what"] for error in report["errors"])
    found = [r["finding"]["what"] for r in report["results"] if r["finding"]]
    return tuple(dict.fromkeys([*found, *(f["what"] for f in report["findings"])]))


def broken(stage: Stage, breakage: Breakage) -> Outcome:
    """Break it, check, and undo it."""
    if breakage.fault.moment is Moment.AMID:
        return _broken_amid(stage, breakage)
    undo = breakage.fault.apply(stage)
    try:
        began = time.monotonic()
        ran = stage.lab.start(*_words(stage, breakage)).finished(None, 200)
        took = time.monotonic() - began
    finally:
        undo()
    return _outcome(breakage, ran, took)


def _broken_amid(stage: Stage, breakage: Breakage) -> Outcome:
    """Break it once the guests have been found to be up; what passes, before any of them pings."""
    began = time.monotonic()
    running = stage.lab.start(*_words(stage, breakage))

    def says(line: str) -> None:
        until(lambda: line in running.stderr or running.process.poll() is not None, line)

    says("asking the switch" if breakage.passes else " is up after ")
    undo = breakage.fault.apply(stage)
    try:
        if breakage.passes:
            says("looking for the reason")
            undo, mended = _nothing, undo
            mended()
        ran = running.finished(None, 200)
        took = time.monotonic() - began
    finally:
        undo()
    return _outcome(breakage, ran, took)


def _nothing() -> None:
    return


def _words(stage: Stage, breakage: Breakage) -> Iterator[str | Path]:
    yield from ("check", stage.plan.path, "--json")
    if breakage.checks:
        lines = ", ".join(f'"{stage.text(line)}"' for line in breakage.checks)
        yield from ("--set", f"checks=[{lines}]")


def _outcome(breakage: Breakage, ran: Ran, took: float) -> Outcome:
    try:
        found = sentences(ran.report)
    except ValueError:
        found = (f"no report: {ran.stderr[-300:]}",)
    return Outcome(breakage, ran.status, found, took)


def healthy(stage: Stage) -> None:
    """Prove that all is well again."""
    ran = stage.lab.start("check", stage.plan.path, "--json").finished(None)
    assert (ran.status, sentences(ran.report)) == (0, ())


def tell(line: object) -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# As a program


Opened = Callable[[Lab], AbstractContextManager[Stage]]


def table(opened: Opened, rows: Iterable[Breakage], folder: Path, *, trust: bool) -> list[Outcome]:
    """Make all of them, print what comes of each, and return it."""
    outcomes = []
    with Lab(folder).opened() as lab, opened(lab) as stage:
        for row in rows:
            try:
                outcomes.append(broken(stage, row))
                tell(outcomes[-1])
                if not trust:
                    healthy(stage)
            except AssertionError as error:
                tell(f"       not well after {row}: {str(error)[-1500:]}")
                stage.plan.up("--recreate", status=None)
                stage.look()
    return outcomes


def main() -> int:
    """Print the table; return 1 when a promise was broken in silence, or somebody accused."""
    asked = argparse.ArgumentParser(prog="tests.framework.breakages", description=__doc__)
    asked.add_argument("-k", default="", help="those whose name has this pattern")
    asked.add_argument("--trust", action="store_true", help="do not check that all is well again")
    asked.add_argument("modules", nargs="*", default=MODULES)
    words = asked.parse_args()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="breakages") as folder:
        for name in words.modules:
            module = importlib.import_module(name)
            tell(f"\n{name}")
            for opened, rows in module.STAGES:
                asked_for = [row for row in rows if re.search(words.k, str(row))]
                if asked_for:
                    outcomes += table(opened, asked_for, Path(folder), trust=words.trust)
    counted = Counter(outcome.verdict for outcome in outcomes)
    tell(f"{', '.join(f'{x} {counted[x]}' for x in Verdict)} of {len(outcomes)}")
    return int(bool(counted[Verdict.WRONG] or counted[Verdict.NONE]))


if __name__ == "__main__":
    raise SystemExit(main())
