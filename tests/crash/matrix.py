"""The crash matrix: its cases, and what is demanded of each.

A case is a command, an event of it, and who is killed there. Then `up` must give what a run that
nobody killed gives, and at the end `down` the lab as it was.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.harness import KILLED, LOOKS, STEP
from tests.crash.state import differences, seen
from tests.framework.lab import Lab
from tests.framework.wire import CabledNic, cabled_nic

MISSED = "nobody was killed: the event did not come"
WHO = ("all", "main", "worker", "reaper")
_PLAN = """\
networks:
  lan:
    switch: {{nat: true, dhcp: true, hairpin: true}}
    addressing: static
    subnet: 10.77.0.0/24
    spoof_guard: {guard}
  wan:
    uplink: {nic}
    mode: bridge
    host_access: true
    subnet: 10.9.0.0/24
    pool: 10.9.0.100-10.9.0.120
    spoof_guard: strict
defaults: {{memory: 96M}}
vms:
  a: {{nics: [lan, wan], disks: [64M]}}
  b: {{nics: [{more}]}}
"""


@dataclass(frozen=True, slots=True)
class Killed:
    """A command that is killed: it begins where `down` has ended, or where `up` has."""

    name: str
    words: tuple[str, ...]
    begins_up: bool
    guard: str = "mac"
    more: str = "lan"
    before: tuple[tuple[str, ...], ...] = ()  # commands that are run, and not killed
    has_steps: bool = True  # all that it does to the machine it does in steps of the plan


_SAVE = "snapshot", "save", "s1"
_RESTORE = "snapshot", "restore", "s1", "--yes"
_EXPIRED = ("up", "--ttl", "1s")
_GC = "gc", "--expired", "--yes"
_REAP = "gc", "--expired", "--yes", "--json", "--reap"  # what gc runs for each dead plan
COMMANDS = {
    one.name: one
    for one in (
        Killed("up", ("up",), begins_up=False),
        Killed("down", ("down",), begins_up=True),
        Killed("change", ("up",), begins_up=True, guard="strict"),
        Killed("hotplug", ("up",), begins_up=True, more="lan, wan"),
        Killed("stop", ("stop",), begins_up=True),
        Killed("start", ("start",), begins_up=True, before=(("stop",),)),
        Killed("save", _SAVE, begins_up=True, has_steps=False),
        Killed("restore", _RESTORE, begins_up=True, before=(_SAVE,), has_steps=False),
        Killed("gc", _GC, begins_up=True, before=(_EXPIRED,), has_steps=False),
        Killed("reap", _REAP, begins_up=True, before=(_EXPIRED,)),
    )
}


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the matrix."""

    command: str
    event: str
    who: str

    def __str__(self) -> str:
        """Return it as it is told."""
        return f"{self.command}: {self.who} killed at {self.event}"


class Matrix:
    """A lab in which cases are tried, one after the other."""

    def __init__(self, lab: Lab, nic: CabledNic) -> None:
        self._lab, self._nic = lab, nic
        self._is_up = self._has_snapshot = False
        self._clean: dict[tuple[str, str], dict[str, str]] = {}
        self._before = seen(lab)

    def events(self, command: str) -> list[str]:
        """Return the events of a command that nobody kills, in order."""
        one = COMMANDS[command]
        self._begin(one)
        log = self._run(one, "all", "", status=0)
        self.end()
        return log

    def tried(self, case: Case) -> list[str]:
        """Try a case; return what is not as it should be."""
        one = COMMANDS[case.command]
        clean = self._clean_state(one)
        self._begin(one)
        happened = self._run(one, case.who, case.event)
        self._is_up = True
        if KILLED.strip() not in happened:
            self._down()  # with a snapshot that the next case makes anew
            return [MISSED]
        plan = self._plan(one)
        ended = self._lab.vmnet("up", plan, "--json", status=None)
        wrong = []
        if ended.status:
            wrong = [f"up ends with {ended.status}", *ended.stderr.splitlines()[-5:]]
        wrong += differences(seen(self._lab), clean)
        return [*wrong, *self._down()]

    def _clean_state(self, one: Killed) -> dict[str, str]:
        key = one.guard, one.more
        if key not in self._clean:
            self._down()
            self._up(one)
            self._clean[key] = seen(self._lab)
        return self._clean[key]

    def _begin(self, one: Killed) -> None:
        if one.begins_up:
            self._up(COMMANDS["up"])
            for words in one.before:
                self._lab.vmnet(*words, "--file", self._plan(one))
                self._has_snapshot |= words == _SAVE
            self._has_snapshot |= one.words == _SAVE
        elif self._is_up:
            self._down()

    def end(self) -> None:
        """Take down what is up."""
        self._down()

    def _up(self, one: Killed) -> None:
        self._lab.vmnet("up", self._plan(one))
        self._is_up = True

    def _down(self) -> list[str]:
        """Take all down; return what is not as before."""
        if self._has_snapshot:
            plan = self._plan(COMMANDS["up"])
            self._lab.vmnet("snapshot", "rm", "s1", "--yes", "--file", plan, status=None)
            self._has_snapshot = False
        ended = self._lab.vmnet("down", "--name", self._lab.name, "--disks", "--yes", status=None)
        self._is_up = False
        wrong = [f"down ends with {ended.status}: {ended.stderr[-300:]}"] if ended.status else []
        return wrong + [f"after down: {x}" for x in differences(seen(self._lab), self._before)]

    def _plan(self, one: Killed) -> Path:
        return self._lab.plan(_PLAN.format(nic=self._nic.name, guard=one.guard, more=one.more))

    def _run(self, one: Killed, who: str, event: str, status: int | None = None) -> list[str]:
        plan = self._plan(one)
        of = [self._lab.name] if one.words[0] == "gc" else ["--file", str(plan)]
        words = [*one.words, *of]
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "events")
            argv = self._lab.argv(*words)
            at = argv.index("-m")
            argv[at : at + 2] = ["-m", "tests.crash.harness", str(log), who]
            environment = self._lab.environment | {"CRASH_AT": event}
            self._lab.running(argv, environment).finished(status)
            return log.read_text().splitlines() if log.exists() else []


def all_cases(matrix: Matrix, commands: Sequence[str], *, inside: bool = False) -> list[Case]:
    """List the cases of commands: before and after each step, or also `inside` of steps.

    A command that does not all in steps is killed at each thing that it does, but for looks.
    """

    def is_meant(command: str, event: str) -> bool:
        of_step = STEP.match(event) or not (COMMANDS[command].has_steps or LOOKS.search(event))
        return inside or bool(of_step)

    return [
        Case(command, event, who)
        for command in commands
        for event in matrix.events(command)
        if is_meant(command, event)
        for who in WHO
    ]


@contextmanager
def opened() -> Iterator[Matrix]:
    """Make a lab with a NIC for cases."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Lab(Path(folder)).opened() as lab,
        cabled_nic(lab, "10.9.0.2/24", host=("10.9.0.1/24",)) as nic,
    ):
        matrix = Matrix(lab, nic)
        try:
            yield matrix
        finally:
            matrix.end()
