"""vmnet stop, start, restart, pause and resume: guests led on."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.fabric import several
from provisioner.cli.fabric.several import FleetWords
from provisioner.cli.lifecycle import by_name_or_file
from provisioner.cli.options import (
    All,
    AllowFile,
    Connection,
    File,
    Grace,
    Inventory,
    Json,
    LockTimeout,
    Name,
    Now,
    Sets,
    Timeout,
)
from provisioner.cli.run import end, plan_target, reported, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from provisioner.commands.target import NameTarget, PlanTarget
    from provisioner.report.report import Report

    Begun = Callable[[PlanTarget | NameTarget, CommandRun], Report]
    Led = Callable[[PlanTarget | NameTarget, CommandRun, Collection[str]], Report]

Vms = Annotated[list[str] | None, typer.Argument(help="The VMs.", metavar="VM", show_default="all")]
NoCheck = Annotated[
    bool, typer.Option("--no-check", help="Wait for the guests, and measure nothing.")
]


def stop(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vms: Vms = None,
    file: File = None,
    sets: Sets = None,
    *,
    name: Name = None,
    now: Now = False,
    grace: Grace = 30.0,
    connection: Connection = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Shut guests down; their devices, addresses and disks stay for a later start.

    Example: vmnet stop web db
    """
    with running(command.STOP, ctx, json=json) as worker:
        from provisioner.commands.lifecycle.power import stop

        target = by_name_or_file(name, file, sets, connection, several=True)
        if several.is_meant(target, inventory):
            several.refuse(target, {"--connection": connection})
            own = several.words(now=now, grace=None if now else grace)
            given = _given(own, vms, lock_timeout, inventory, json=json)
            several.led(target, given, "stop")
        run = CommandRun(command.STOP, worker, lock_timeout_s=lock_timeout)
        run = replace(run, grace_s=0 if now else grace)
        end(reported(_of(stop, vms), target, run), json=json)


def start(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vms: Vms = None,
    file: File = None,
    sets: Sets = None,
    *,
    no_check: NoCheck = False,
    every_row: All = False,
    timeout: Timeout = None,
    connection: Connection = None,
    allow_file: AllowFile = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Start guests that were stopped, and what they need; then check them.

    Example: vmnet start web
    """
    with running(command.START, ctx, json=json) as worker:
        from provisioner.commands.lifecycle.power import start

        target = plan_target(file, sets, connection=connection, allow_file=allow_file, several=True)
        if several.is_meant(target, inventory):
            several.refuse(target, {"--connection": connection, "--no-check": no_check})
            own = several.words(timeout=timeout)
            given = _given(own, vms, lock_timeout, inventory, json=json)
            several.started(target, replace(given, every=every_row), "start")
        run = CommandRun(command.START, worker, timeout or 0, lock_timeout)
        run = replace(run, pairs="none" if no_check else run.pairs)
        run = replace(run, only=_named(target, vms))
        end(reported(start, target, run), json=json, every=every_row)


def restart(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vms: Vms = None,
    file: File = None,
    sets: Sets = None,
    *,
    now: Now = False,
    no_check: NoCheck = False,
    every_row: All = False,
    grace: Grace = 30.0,
    timeout: Timeout = None,
    connection: Connection = None,
    allow_file: AllowFile = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Shut guests down and start them again, as the plan has them now; then check them.

    Example: vmnet restart web --now
    """
    with running(command.RESTART, ctx, json=json) as worker:
        from provisioner.commands.lifecycle.power import restart

        target = plan_target(file, sets, connection=connection, allow_file=allow_file, several=True)
        if several.is_meant(target, inventory):
            several.refuse(target, {"--connection": connection, "--no-check": no_check})
            own = several.words(timeout=timeout, now=now, grace=None if now else grace)
            given = _given(own, vms, lock_timeout, inventory, json=json)
            several.started(target, replace(given, every=every_row), "restart")
        run = CommandRun(command.RESTART, worker, timeout or 0, lock_timeout)
        run = replace(run, pairs="none" if no_check else run.pairs)
        run = replace(run, only=_named(target, vms), grace_s=0 if now else grace)
        end(reported(restart, target, run), json=json, every=every_row)


def pause(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vms: Vms = None,
    file: File = None,
    sets: Sets = None,
    *,
    name: Name = None,
    connection: Connection = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Halt guests where they are, until they are resumed.

    Example: vmnet pause --name lab
    """
    with running(command.PAUSE, ctx, json=json) as worker:
        from provisioner.commands.lifecycle.power import pause

        target = by_name_or_file(name, file, sets, connection, several=True)
        if several.is_meant(target, inventory):
            several.refuse(target, {"--connection": connection})
            several.led(target, _given((), vms, lock_timeout, inventory, json=json), "pause")
        run = CommandRun(command.PAUSE, worker, lock_timeout_s=lock_timeout)
        end(reported(_of(pause, vms), target, run), json=json)


def resume(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vms: Vms = None,
    file: File = None,
    sets: Sets = None,
    *,
    name: Name = None,
    connection: Connection = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Let paused guests go on.

    Example: vmnet resume --name lab
    """
    with running(command.RESUME, ctx, json=json) as worker:
        from provisioner.commands.lifecycle.power import resume

        target = by_name_or_file(name, file, sets, connection, several=True)
        if several.is_meant(target, inventory):
            several.refuse(target, {"--connection": connection})
            several.led(target, _given((), vms, lock_timeout, inventory, json=json), "resume")
        run = CommandRun(command.RESUME, worker, lock_timeout_s=lock_timeout)
        end(reported(_of(resume, vms), target, run), json=json)


def _given(
    words: tuple[str, ...],
    vms: list[str] | None,
    lock_timeout: float,
    inventory: "Path | None",
    *,
    json: bool,
) -> FleetWords:
    return FleetWords(words, vms, lock_timeout_s=lock_timeout, json=json, inventory=inventory)


def _of(led: "Led", vms: list[str] | None) -> "Begun":
    return lambda target, run: led(target, run, vms or ())


def _named(target: "PlanTarget", vms: list[str] | None) -> frozenset[str]:
    """Return the VMs that are meant, all without words. Raises VmnetError about unknown ones."""
    from provisioner.commands.session import named_vms

    return named_vms(target, vms or [vm.name for vm in target.plan.vms])
