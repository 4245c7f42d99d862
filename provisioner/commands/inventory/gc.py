"""vmnet gc: what plans have left that nobody works with any more.

Each plan is taken away in a vmnet process of its own, under the plan's lock, by the steps of
`down`: the embedded libvirt allows one plan a process, and a plan that hangs delays no other.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from provisioner.commands.inventory.read import read
from provisioner.commands.session import HostSession, begun
from provisioner.commands.target import CommandRun, NameTarget, Tell
from provisioner.errors import Exit, VmnetError
from provisioner.host.inventory import ownerless
from provisioner.host.system import processes, programs
from provisioner.inventory.garbage import Listed, Taken
from provisioner.inventory.judge import GcWish, PlanVerdict, verdict, verdicts

if TYPE_CHECKING:
    from provisioner.host.system.worker import Worker
    from provisioner.report.report import Report

_SIDE_BY_SIDE: Final = 4  # processes, of which each opens a libvirt
_PATIENCE_S: Final = 300.0  # of taking one plan away: its guests may shut down meanwhile


def listed(worker: "Worker", wish: GcWish, connection: str = "") -> Listed:
    """Look at this host, and judge; nothing is touched."""
    inventory, reading = read(worker, connection)
    # What is of no plan has no age and no expiry.
    every = not (wish.plans or wish.only_expired or wish.older_than_s)
    found = inventory.ownerless if every else ()
    return Listed(inventory, tuple(verdicts(inventory, reading.now, wish)), reading.now, found)


def collected(worker: "Worker", found: Listed, wish: GcWish, tell: Tell) -> Iterator[Taken]:
    """Take away what was listed, some plans side by side."""
    for thing in found.ownerless:
        try:
            worker.do(ownerless.remove, thing.kind, thing.name)
        except VmnetError as error:
            yield Taken(str(thing), error=error.what, status=error.status)
        else:
            yield Taken(str(thing), (f"delete {thing}",))
    from concurrent.futures import ThreadPoolExecutor

    def reaped(one: PlanVerdict) -> Taken:
        tell(f"taking away {one.plan.name}: {one.why}")
        return _reaped(one.plan.name, one.plan.connection, wish)

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        yield from pool.map(reaped, found.garbage)


def reap(
    target: NameTarget, wish: GcWish, run: CommandRun, take_away: "Callable[[HostSession], Report]"
) -> "Report":
    """Take one plan away, if under its lock it is garbage still; `take_away` is that of `down`.

    Raises VmnetError, status CONFLICT, when it lives.
    """
    with begun(target, run) as session:
        inventory, reading = read(session.worker, target.uri)
        (plan,) = inventory.only([target.name]).plans or (None,)
        if plan and plan.holder and plan.holder.pid == os.getpid():
            plan = replace(plan, holder=None)
        # Its age was judged before: a libvirt that is opened makes a folder of its own.
        found = plan and verdict(plan, reading.now, replace(wish, older_than_s=0))
        if found and not found.is_garbage:
            raise VmnetError(
                f"{target.name} is left alone: {found.why}",
                fix="look again: vmnet ls",
                status=Exit.CONFLICT,
            )
        return take_away(session)


def _reaped(plan: str, connection: str, wish: GcWish) -> Taken:
    argv = [*processes.vmnet(), "gc", "--reap", plan, "--yes", "--json"]
    argv += ["--disks"] if wish.disks else []
    argv += ["--expired"] if wish.only_expired else []
    argv += ["--connection", connection] if connection else []
    try:
        ran = programs.run(argv, timeout_s=_PATIENCE_S, check=False)
    except VmnetError as error:
        return Taken(plan, error=error.what, status=error.status)
    try:
        report = json.loads(ran.stdout)
        if errors := report.get("errors"):
            return Taken(plan, error=errors[0]["what"], status=Exit(report["status"]))
        failed = "; ".join(f"{x['step']}: {x['what']}" for x in report["failed"])
        return Taken(plan, tuple(report["done"]), failed, Exit(report["status"]))
    except (ValueError, KeyError):
        return Taken(plan, error=programs.last_lines(ran.stderr), status=Exit.PARTLY_DONE)
