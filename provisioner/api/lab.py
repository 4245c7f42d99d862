"""A plan as a context manager: up at the beginning of the block, gone at its end."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from provisioner.api.errors import (
    CheckFailedError,
    LabError,
    NotMeasuredError,
    PlanRefusedError,
    raised,
)
from provisioner.api.reach import Measurement, ReachAnswer
from provisioner.api.results import LabReport, of_report
from provisioner.api.runs import LabRuns
from provisioner.api.vm import LabVm
from provisioner.errors import Exit

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget
    from provisioner.report.report import Report

_TEXT: Final = "the text of the plan"
_REACHES: Final = "reaches"
_APART: Final = "must not reach"


class Lab:
    """A plan, brought up and taken away: `with Lab("plan.yaml") as lab: ...`.

    Each call is a vmnet command of its own, with the plan's lock and a worker process: other
    commands may come between, and several threads may call at once.
    """

    def __init__(  # noqa: PLR0913  (all but the files have defaults)
        self,
        *files: str | Path,
        text: str = "",
        name: str = "",
        sets: Mapping[str, object] | None = None,
        connection: str = "",
        ttl: str = "",
        timeout_s: float = 0.0,
        lock_timeout_s: float = 30.0,
        must_hold: bool = True,
    ) -> None:
        """Load a plan; nothing is touched yet.

        `files` are merged, the last one counts most; instead, `text` may be the plan itself. `name`
        replaces the plan's, `sets` are values such as {"networks.lan.mode": "vepa"}, `connection`
        is where libvirt is, else VMNET_CONNECTION or the plan says so. After `ttl` ("2h") `vmnet gc
        --expired` may take it away. `timeout_s` is for a whole `up` or check, 0 leaves it to what
        the guests boot; `lock_timeout_s` for other commands on the plan. With `must_hold` a plan
        that is up and not as it promises is an error, and is taken away again.

        Raises PlanRefusedError about a plan that cannot be used, with all that is wrong.
        """
        changes = {**({"name": name} if name else {}), **(sets or {})}
        self._sets = [f"{key}={_as_yaml(value)}" for key, value in changes.items()]
        self._files = [Path(file) for file in files]
        self._text = text
        self.connection = connection or os.environ.get("VMNET_CONNECTION", "")
        self._timeout_s = timeout_s
        self._must_hold = must_hold
        with raised():
            self._ttl_s = _seconds(ttl)
            self._target: PlanTarget = self._loaded(self._sets)
        self._runs = LabRuns(self._target, lock_timeout_s)
        self.name = self._target.name
        self.report: LabReport | None = None

    def __repr__(self) -> str:
        """Return the plan's name."""
        return f"<Lab {self.name}>"

    def __enter__(self) -> Self:
        """Bring the plan up, as `up` does; what an error leaves is taken away."""
        try:
            self.up()
        except PlanRefusedError:
            raise  # nothing was touched
        except BaseException as error:
            self.down_after(error)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Take the plan away, with what its guests have written."""
        self.down()

    def up(self) -> LabReport:
        """Bring the plan up and measure that it holds; twice changes nothing.

        Raises PlanRefusedError when the plan or the host forbids it, CheckFailedError when a step
        has failed, or, with `must_hold`, when the plan is not as it promises; LabError when the
        host cannot.
        """
        from provisioner.commands import command
        from provisioner.commands.up import up

        with self._runs.running(command.UP, timeout_s=self._timeout_s) as run:
            self.report = of_report(up(self._target, replace(run, ttl_s=self._ttl_s)))
        tolerated = {Exit.DONE} if self._must_hold else {Exit.DONE, Exit.CHECK_FAILED}
        if self.report.status not in tolerated:
            raise CheckFailedError(self.report)
        return self.report

    def down(self, *, keep_disks: bool = False) -> None:
        """Take away everything of the plan; with `keep_disks` not what its guests have written.

        Raises LabError when something could not be taken away.
        """
        from provisioner.commands import command
        from provisioner.commands.lifecycle.down import down

        with self._runs.running(command.DOWN) as run:
            doomed = frozenset[str]() if keep_disks else None
            grace_s = run.grace_s if keep_disks else 0.0
            found = of_report(down(self._target, replace(run, doomed=doomed, grace_s=grace_s)))
        if not found:
            raise CheckFailedError(found)

    def down_after(self, error: BaseException) -> None:
        """Take the plan away after an error, which gets a note when that cannot be done."""
        try:
            self.down()
        except LabError as another:
            error.add_note(f"{self.name} could not be taken away either: {another}")

    def check(self) -> LabReport:
        """Measure all that the plan promises; true when it holds, else the report says why not.

        Raises LabError when guests are not up, or the host cannot.
        """
        return of_report(self._checked(self._target))

    def reaches(self, source: str, target: str, asked: str = "") -> ReachAnswer:
        """Return whether `source` reaches `target` now; false has the reason with it.

        Each is a VM, "host", "gateway", a name of `hosts:` or an address; `asked` is what a line of
        `checks:` may add: "tcp/22 within 60s", "on lan ipv6". Without it a ping is sent.

        Raises NotMeasuredError when it could not be measured, LabError as `check` does.
        """
        return self._asked(source, target, asked, wanted=True)

    def isolated(self, source: str, target: str, asked: str = "") -> ReachAnswer:
        """Return whether it is shown that `source` does not reach `target`.

        Silence alone is not enough, a guest that is dead is silent too: the same question must be
        answered when it is put in at the uplink. So this is not `not reaches(...)`.

        Raises as `reaches` does.
        """
        return self._asked(source, target, asked, wanted=False)

    def vm(self, name: str) -> LabVm:
        """Return a guest by its name. Raises LabError when the plan has none of that name."""
        from provisioner.commands.session import no_vm

        with raised():
            if name not in self.vms:
                raise no_vm(self._target.plan, name)
        return LabVm(self._runs, name)

    @property
    def plan(self) -> str:
        """The plan as one text, with all changes; what names a variable names it still."""
        from provisioner.plan.load.loader import printed

        with raised():
            return printed(self._written(), self._sets)

    @property
    def vms(self) -> tuple[str, ...]:
        """The names of the guests, in the order of the plan."""
        return tuple(vm.name for vm in self._target.plan.vms)

    @property
    def ssh_config(self) -> str:
        """The text of a ssh_config with all guests that this host reaches: `ssh -F FILE VM`."""
        return self._runs.ssh_config("")

    def _loaded(self, sets: Sequence[str]) -> "PlanTarget":
        from provisioner.commands.loading import texts

        first = self._files[0] if self._files else None
        return texts.loaded(self._written(), sets, first, uri=_uri(self.connection))

    def _written(self) -> list[tuple[str, str]]:
        """Return the names and the texts of the files."""
        from provisioner.errors import bad_input
        from provisioner.host.system import plan_files

        if bool(self._files) == bool(self._text):
            raise bad_input(
                "a lab is of files or of a text, and of one of the two",
                'name the plan\'s file: Lab("plan.yaml")',
            )
        written = [(str(file), plan_files.read(file)) for file in self._files]
        return written or [(_TEXT, self._text)]

    def _checked(self, target: "PlanTarget") -> "Report":
        from provisioner.commands import command
        from provisioner.commands.up import check

        with self._runs.running(command.CHECK, timeout_s=self._timeout_s) as run:
            return check(target, run)

    def _asked(self, source: str, target: str, asked: str, *, wanted: bool) -> ReachAnswer:
        verdict, why, path = self._explained(source, target)
        # Where the modes keep the two apart, that is the reason: no other is looked for, but
        # whether silence means that at all.
        hopeful = wanted and verdict != _APART
        line = f"{source} {'->' if hopeful else '-/>'} {target} {asked}".rstrip()
        with raised():
            about = self._loaded([*self._sets, f"checks={json.dumps([line])}"])
        found = [Measurement.of(result) for result in self._checked(about).results]
        _refuse_unmeasured(line, found)
        holds = all(one.reached if wanted else one.as_expected for one in found)
        question = (
            f"{source} {_REACHES if wanted else 'is isolated from'} {target} {asked}".rstrip()
        )
        promised = _REACHES if holds is wanted else _APART
        if verdict != promised or not (holds or wanted):
            why = _measured(found)
        return ReachAnswer(question, holds, why, tuple(found), path)

    def _explained(self, source: str, target: str) -> tuple[str, str, str]:
        """Return what the plan promises of two ends, why, and the path; "" where it says nothing.

        Machines outside and names that a resolver knows are nothing that a plan promises of.
        """
        from provisioner.errors import VmnetError
        from provisioner.network.addressing import assign
        from provisioner.reachability import explain, explain_text

        plan = self._target.plan
        try:
            found = explain.explain(plan, assign(plan), source, target)
        except VmnetError:
            return "", "", ""
        return found.verdict, found.why, explain_text.as_text(found)


def _refuse_unmeasured(line: str, found: Sequence[Measurement]) -> None:
    if not found:
        raise NotMeasuredError(
            f'"{line}" has measured nothing: its ends are not both up',
            fix="bring the plan up first: lab.up()",
            status=Exit.CHECK_FAILED,
        )
    for one in found:
        if one.reached is None:
            what = f'"{line}" could not be measured: {one.observed}, {one.note}'
            fix = one.fix or "look at the guests' consoles: lab.vm(NAME).console()"
            raise NotMeasuredError(what, fix=fix, status=Exit.CHECK_FAILED)


def _measured(found: Sequence[Measurement]) -> str:
    """Return what was found wrong, else what was seen."""
    findings = [one.finding for one in found if one.finding]
    return "; ".join(dict.fromkeys(findings or [f"{x.observed}, {x.note}" for x in found]))


def _as_yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _seconds(ttl: str) -> int:
    from provisioner.errors import bad_input
    from provisioner.inventory import times
    from provisioner.plan.scalars import BadValue

    try:
        return times.seconds(ttl) if ttl else 0
    except BadValue as bad:
        raise bad_input(f"ttl: {bad.what}", bad.fix) from bad


def _uri(text: str) -> str:
    from provisioner.errors import bad_input
    from provisioner.plan import scalars
    from provisioner.plan.scalars import BadValue

    try:
        return scalars.uri(text) if text else ""
    except BadValue as bad:
        raise bad_input(f"connection: {bad.what}", bad.fix) from bad
