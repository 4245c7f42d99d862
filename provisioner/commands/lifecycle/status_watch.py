"""Look again whenever something happens to a plan; report what has changed.

Each look is a `vmnet status` of its own: nothing is held in between, and nothing is believed that
was not read after it had happened. So no event has to be understood, and none can be missed for
good: after an overrun of the kernel's messages all is looked at, as after any.
"""

import json
import os
import select
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Self

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.libvirt import records
from provisioner.host.libvirt.qemu_process import process_state
from provisioner.host.netlink.link_events import LinkEvents, RuleEvents
from provisioner.host.system import processes, programs
from provisioner.host.system.programs import Background, Finished
from provisioner.text import one_line

_TICK_S: Final = 0.25  # what has no event is looked at as often
_PAUSE_S: Final = 0.5  # between two looks, while one event follows the other
_MONITORS_S: Final = 1.0  # between two questions to QEMUs that no libvirt watches


@dataclass(frozen=True, slots=True)
class StatusLook:
    """What one look has found."""

    at: str  # the time of day
    status: int
    summary: str
    states: Mapping[str, str]  # by VM, with the process
    to_do: tuple[str, ...]
    warnings: tuple[str, ...]
    vms: tuple[tuple[str, int, tuple[int, ...]], ...]  # name, process, ifindexes of macvtaps
    document: str  # all of it, on one line

    @property
    def report(self) -> dict[str, Any]:
        """All of it, as data."""
        found: dict[str, Any] = json.loads(self.document)
        return found

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of its QEMUs; 0 for one that does not run."""
        return tuple(pid for _, pid, _ in self.vms)

    @property
    def told(self) -> tuple[object, ...]:
        """What makes a look another one than the one before."""
        return self.status, self.states, self.to_do, self.warnings


class Signals:
    """Tells that something may have changed: a link, a rule, a QEMU, what libvirt has written."""

    def __init__(self, plan: str, connection: str) -> None:
        self._plan = plan
        self._connection = connection
        self._kernel = [LinkEvents(), *([] if os.geteuid() else [RuleEvents()])]
        self._processes: dict[int, int] = {}  # pid by pidfd
        self._seen: tuple[object, ...] = ()
        self._monitors: object = None
        self._asked = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()
        for events in self._kernel:
            events.__exit__(None, None, None)

    def begin(self) -> None:
        """Take what is there now for what the look that begins will see."""
        self._told()
        self._seen = self._now()

    def watch(self, pids: Collection[int]) -> None:
        """Watch these processes from now on."""
        self._let_go()
        for pid in filter(None, pids):
            try:
                self._processes[os.pidfd_open(pid)] = pid
            except OSError:
                continue  # it has ended meanwhile: what it was written down as tells
        # Who they are is new, not what has become of them since the look began.
        self._seen = (self._states(), *self._seen[1:])

    def happened(self, wait_s: float, until: int | None = None) -> bool:
        """Wait; return whether something may have changed since `begin`.

        `until` is a descriptor that ends the wait when it can be read.
        """
        poll = select.poll()
        told_by = (*(x.fileno() for x in self._kernel), *self._processes)
        for each in (*told_by, *([] if until is None else [until])):
            poll.register(each, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, wait_s) * 1000)}
        told = self._told()
        ended = bool(ready & self._processes.keys())
        return told or ended or self._now() != self._seen

    def _told(self) -> bool:
        told = [events.happened() for events in self._kernel]
        return any(told)

    def _now(self) -> tuple[object, ...]:
        written = records.digest(self._plan)
        if time.monotonic() - self._asked > _MONITORS_S:
            found = records.run_states(self._plan, self._connection, self._processes.values())
            if found is not None:
                self._monitors = found
            self._asked = time.monotonic()
        return self._states(), written, self._monitors

    def _states(self) -> tuple[bool, ...]:
        return tuple(process_state(pid) in {"T", "t", "Z", ""} for pid in self._processes.values())

    def _let_go(self) -> None:
        for pidfd in self._processes:
            os.close(pidfd)
        self._processes = {}


def looks(words: Sequence[str], every_s: float, signals: Signals) -> Iterator[StatusLook]:
    """Look again and again with `vmnet status`: when something happens, and every so often.

    Raises VmnetError when a look prints no report.
    """
    argv = [*processes.vmnet(), "status", "--json", *words]
    due, last = time.monotonic(), 0.0
    running: Background | None = None
    again = False
    with ExitStack() as stack:
        while True:
            now = time.monotonic()
            if running is None and (now >= due or (again and now >= last + _PAUSE_S)):
                signals.begin()
                again = False
                due, last = now + every_s, now
                running = stack.enter_context(Background(argv))
            again |= signals.happened(_TICK_S, running.pidfd if running else None)
            if running and running.has_ended:
                found = look_of(running.finished())
                stack.close()
                running = None
                signals.watch(found.pids)
                yield found


def changes(before: StatusLook | None, now: StatusLook) -> Iterator[str]:
    """Return each change as a line; of the first look, all that is to be told."""
    if before is None:
        yield f"{now.at} {now.summary}"
        before = StatusLook("", now.status, now.summary, {}, (), (), (), "")
    for vm, state in now.states.items():
        was = before.states.get(vm, "")
        if was != state:
            yield f"{now.at} {vm}: {f'{was} -> ' if was else ''}{state}"
    for vm in before.states.keys() - now.states.keys():
        yield f"{now.at} {vm}: {before.states[vm]} -> not there"
    for name, old, new in (
        ("warning", before.warnings, now.warnings),
        ("up would", before.to_do, now.to_do),
    ):
        yield from (f"{now.at} {name}: {x}" for x in new if x not in old)
        yield from (f"{now.at} no more: {x}" for x in old if x not in new)
    if before.status != now.status:
        yield f"{now.at} {now.summary}"


def look_of(ran: Finished) -> StatusLook:
    """Return what a `vmnet status --json` has found. Raises VmnetError without a report."""
    try:
        return read(json.loads(ran.stdout), time.strftime("%H:%M:%S"))
    except ValueError as error:
        printed = programs.last_lines(ran.stderr or ran.stdout)
        raise VmnetError(f"a look has printed no report: {printed}", fix="run vmnet status") from (
            error
        )


def read(report: Mapping[str, Any], at: str) -> StatusLook:
    """Return a look from its report, as `vmnet status --json` prints it."""
    document = json.dumps(report)
    status = int(report["status"])
    if "vms" not in report:
        what = "; ".join(one_line(str(e.get("what"))) for e in report.get("errors", ()))
        return StatusLook(at, status, what, {}, (), (what,), (), document)
    return StatusLook(
        at,
        status,
        str(report["summary"]),
        {str(vm["name"]): _state(vm) for vm in report["vms"]},
        tuple(map(str, report["to_do"])),
        tuple(map(str, report["warnings"])),
        tuple((str(vm["name"]), int(vm["pid"]), _taps(vm)) for vm in report["vms"]),
        document,
    )


def _taps(vm: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(str(tap).removeprefix("/dev/tap")) for tap in vm["taps"])


def _state(vm: Mapping[str, Any]) -> str:
    return f"{vm['state']} (process {vm['pid']})" if vm["pid"] else str(vm["state"])
