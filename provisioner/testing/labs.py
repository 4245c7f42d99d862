"""Labs of tests: named apart, watched by a guard, and what they tell when a test has failed."""

import shlex
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import pytest

from provisioner.api import Lab, LabError, LabReport, PlanRefusedError, ReachAnswer
from provisioner.dataclass import dataclass
from provisioner.host.system.spawned.guard import PlanGuard

_LONGEST: Final = 32  # characters of a plan's name
_RUN: Final = 6  # characters of it that tell one run of pytest from the other
_LINES: Final = 60  # of a console that a report shows

Section = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Suffix:
    """What makes a plan's name one of this run of pytest, and of one of xdist's workers."""

    worker: str  # "gw0", or "" where there are none
    run: str

    def name(self, plan: str, number: int) -> str:
        """Return the name for the lab of that number, at most 32 characters, as plans' are."""
        words = (self.worker, self.run[:_RUN], str(number))
        end = "".join(f"-{word}" for word in words if word)
        return plan[: _LONGEST - len(end)].rstrip("-") + end


class PytestLab(Lab):
    """A lab that a test has made: told about in its report, left up for who wants to look."""

    def __init__(self, factory: "LabFactory", *files: str | Path, **words: Any) -> None:  # noqa: ANN401
        """Load the plan, as Lab does."""
        super().__init__(*files, **words)
        self._factory = factory
        self.has_failed = False
        self._plan_file: Path | None = None
        self.answers: list[ReachAnswer] = []

    def __enter__(self) -> Self:
        """Bring the plan up, as Lab does."""
        try:
            self.up()
        except PlanRefusedError:
            self._factory.forget(self)
            raise
        except BaseException as error:
            self._end(error)
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        """Take the plan away, unless a test has failed and it is to be kept."""
        error = raised[1]
        self._end(error if isinstance(error, BaseException) else None)

    def up(self) -> LabReport:
        """Bring the plan up, as Lab does; the guard takes it away if this process ends."""
        self._factory.watch(self)
        return super().up()

    def down(self, *, keep_disks: bool = False) -> None:
        """Take the plan away, as Lab does."""
        super().down(keep_disks=keep_disks)
        self._factory.forget(self)

    def reaches(self, source: str, target: str, asked: str = "") -> ReachAnswer:
        """Return whether `source` reaches `target`, as Lab does; the report has the answer."""
        return self._noted(super().reaches(source, target, asked))

    def isolated(self, source: str, target: str, asked: str = "") -> ReachAnswer:
        """Return whether they are shown to be apart, as Lab does; the report has the answer."""
        return self._noted(super().isolated(source, target, asked))

    def sections(self) -> list[Section]:
        """Return what the report of a failed test says: the last answer, and the consoles."""
        found = [(f"vmnet {self.name}: answer", str(answer)) for answer in self.answers[-1:]]
        for vm in self.vms:
            with suppress(LabError, OSError):  # it has not come up at all
                if text := self.vm(vm).console(_LINES):
                    found.append((f"vmnet {self.name}: console of {vm}", text))
        return found

    def plan_file(self) -> Path:
        """Return a file with the plan as it is up, in a folder that nobody else may enter."""
        if self._plan_file is None:
            self._plan_file = Path(tempfile.mkdtemp(prefix=f"{self.name}-"), "vmnet.yaml")
            self._plan_file.write_text(self.plan, encoding="utf-8")
        return self._plan_file

    def _noted(self, answer: ReachAnswer) -> ReachAnswer:
        self.answers.append(answer)
        return answer

    def _end(self, error: BaseException | None) -> None:
        if error is not None and is_failure(error):
            self._factory.note(self)
        if self.has_failed and self._factory.keep:
            self._factory.leave(self)
        elif error is None:
            self.down()
        else:
            self.down_after(error)


class LabFactory:
    """The fixture `vmnet_lab`: makes labs, and takes away at the end what is left of them."""

    def __init__(self, suffix: Suffix, ttl: str, *, keep: bool) -> None:
        """Make labs whose names end with `suffix`; with `keep`, what failed stays up."""
        self.keep = keep
        self._suffix = suffix
        self._ttl = ttl
        self._guard: PlanGuard | None = None
        self._number = 0
        self._labs: list[PytestLab] = []  # that are up, or may be
        self._noted: list[Section] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for lab in tuple(self._labs):
                lab.__exit__(None, None, None)
        finally:
            if self._guard:
                self._guard.close()

    def __call__(self, *files: str | Path, **words: Any) -> PytestLab:  # noqa: ANN401
        """Make a lab of a plan; it comes up at the beginning of its `with` block, or by `up()`.

        It takes what provisioner.api.Lab takes, and raises what that raises.
        """
        words = {"ttl": self._ttl, **words}
        name = PytestLab(self, *files, **words).name
        self._number += 1
        own = {**words, "name": self._suffix.name(name, self._number)}
        return PytestLab(self, *files, **own)

    def begin(self) -> None:
        """Begin with another test: what was answered before is not about it."""
        self._noted = []
        for lab in self._labs:
            lab.answers = []

    def watch(self, lab: PytestLab) -> None:
        """Have a lab taken away when this process ends, however it does."""
        self._guard = self._guard or PlanGuard()
        self._guard.watch(lab.name, lab.connection)
        if lab not in self._labs:
            self._labs.append(lab)

    def forget(self, lab: PytestLab) -> None:
        """Take note that a lab is gone."""
        if lab in self._labs:
            self._labs.remove(lab)
            if self._guard:
                self._guard.leave(lab.name)

    def leave(self, lab: PytestLab) -> None:
        """Leave a lab up."""
        self.forget(lab)

    def note(self, lab: PytestLab) -> None:
        """Take down what a lab tells that ends before the report is made, as the test has failed.

        With `keep`, how to look at it and to take it away is a part of it.
        """
        lab.has_failed = True
        self._noted += self._told(lab)

    def sections(self) -> list[Section]:
        """Return what the report of a test that has just failed is to say."""
        found, self._noted = self._noted, []
        for lab in self._labs:
            lab.has_failed = True
            found += self._told(lab)
        return found

    def _told(self, lab: PytestLab) -> list[Section]:
        found = lab.sections()
        if self.keep:
            path = shlex.quote(str(lab.plan_file()))
            look = f"look at it: vmnet console --file {path} VM"
            away = f"take it away: vmnet down --name {lab.name} --disks --yes"
            found.append((f"vmnet {lab.name}: left up", f"{look}\n{away}"))
        return found


def is_failure(error: BaseException) -> bool:
    """Return whether what ends a test says that it has failed: a skip or Ctrl-C does not."""
    if isinstance(error, pytest.fail.Exception):
        return not isinstance(error, pytest.xfail.Exception)
    return isinstance(error, Exception)
