"""vmnet snapshot: guests saved at one moment, and put back to it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.fabric import several, snapshots
from provisioner.cli.fabric.several import FleetWords
from provisioner.cli.options import (
    All,
    AllowFile,
    Connection,
    File,
    Inventory,
    Json,
    LockTimeout,
    Name,
    Sets,
    Timeout,
    Yes,
)
from provisioner.cli.run import agreement, end, name_target, plan_target, reported, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun, SnapshotWish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from provisioner.commands.target import NameTarget, PlanTarget

app = typer.Typer(
    no_args_is_help=True, help="Save a plan's guests at one moment, and put them back to it."
)

Snapshot = Annotated[str, typer.Argument(metavar="NAME", help="The snapshot.")]
Vms = Annotated[
    list[str] | None, typer.Argument(metavar="VM", help="The VMs; all of them without.")
]
_NOTHING_KEPT = "interrupted: there is no new snapshot, and the guests run on"


@app.command()
def save(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    name: Snapshot,
    vms: Vms = None,
    file: File = None,
    sets: Sets = None,
    *,
    connection: Connection = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Save the memory and the disks of guests, all of one moment; they are paused meanwhile.

    Example: vmnet snapshot save clean
    """
    with running(command.SNAPSHOT, ctx, json=json, interrupted=_NOTHING_KEPT) as worker:
        from provisioner.commands.snapshot import listing
        from provisioner.commands.snapshot.save import save

        target = plan_target(file, sets, connection=connection, several=True)
        if several.is_meant(target, inventory):
            several.refuse(target, {"--connection": connection})
            given = FleetWords(only=vms, lock_timeout_s=lock_timeout, json=json)
            snapshots.save(target, replace(given, inventory=inventory), name)
            return
        run = CommandRun(command.SNAPSHOT, worker, lock_timeout_s=lock_timeout)
        with output.progress("snapshot save") as (tell, count):
            saved = save(target, replace(run, tell=tell, count=count), name, vms or ())
        output.typed(listing.saved_json(saved) if json else listing.saved_line(saved))


@app.command()
def restore(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    name: Snapshot,
    vms: Vms = None,
    file: File = None,
    sets: Sets = None,
    *,
    yes: Yes = False,
    no_check: Annotated[bool, typer.Option("--no-check", help="Measure nothing.")] = False,
    every_row: All = False,
    timeout: Timeout = None,
    connection: Connection = None,
    allow_file: AllowFile = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Bring the plan up with guests as they were in a snapshot, and measure that it holds.

    Example: vmnet snapshot restore clean
    """
    with running(command.SNAPSHOT, ctx, json=json) as worker:
        from provisioner.commands.up import up

        target = plan_target(file, sets, connection=connection, allow_file=allow_file, several=True)
        if several.is_meant(target, inventory):
            several.refuse(target, {"--connection": connection, "--no-check": no_check})
            given = FleetWords(several.words(timeout=timeout), vms, lock_timeout_s=lock_timeout)
            given = replace(given, inventory=inventory, json=json, every=every_row)
            snapshots.restore(target, given, name, yes=yes)
        run = CommandRun(command.SNAPSHOT, worker, timeout or 0, lock_timeout)
        run = replace(run, pairs="none" if no_check else run.pairs)
        run = replace(
            run,
            idle=output.warm_up,
            snapshot=SnapshotWish(name, tuple(vms or ())),
            agree=agreement(yes=yes),
        )
        end(reported(up, target, run), json=json, every=every_row)


@app.command()
def ls(
    file: File = None,
    sets: Sets = None,
    *,
    name: Name = None,
    inventory: Inventory = None,
    json: Json = False,
) -> None:
    """List the snapshots of a plan.

    Example: vmnet snapshot ls --name lab
    """
    with running("snapshot ls", json=json):
        from provisioner.commands.snapshot import listing

        target = _target(name, file, sets)
        if several.is_meant(target, inventory):
            snapshots.ls(target, FleetWords(json=json, inventory=inventory))
            return
        rows = listing.listed(target.name)
        if json:
            output.typed(listing.as_json(rows))
        elif rows:
            output.print_rows(listing.as_rows(rows))
        else:
            output.typed("no snapshots")


@app.command()
def rm(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Snapshots.")],
    file: File = None,
    sets: Sets = None,
    *,
    name: Name = None,
    yes: Yes = False,
    connection: Connection = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
) -> None:
    """Remove snapshots.

    Example: vmnet snapshot rm clean
    """
    with running(command.SNAPSHOT, ctx) as worker:
        from provisioner.commands.snapshot import listing

        target = _target(name, file, sets, connection)
        if several.is_meant(target, inventory):
            several.refuse(target, {"--connection": connection})
            given = FleetWords(lock_timeout_s=lock_timeout, inventory=inventory)
            snapshots.rm(target, given, names, yes=yes)
            return
        run = CommandRun(command.SNAPSHOT, worker, lock_timeout_s=lock_timeout)
        run = replace(run, tell=output.line, agree=agreement(yes=yes))
        for line in listing.remove(target, run, names):
            output.typed(line)


def _target(
    name: str | None,
    paths: "Sequence[Path] | None",
    sets: list[str] | None,
    connection: str | None = None,
) -> "NameTarget | PlanTarget":
    if name:
        return name_target(name, connection)
    return plan_target(paths, sets, connection=connection, several=True)
