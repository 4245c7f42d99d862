"""vmnet snapshot on a plan of several hosts: each host keeps those of its own guests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import typer

from provisioner.cli import output
from provisioner.cli.fabric.several import FleetWords, running_on
from provisioner.cli.run import end
from provisioner.errors import Exit, VmnetError, bad_input, refuse

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget


def save(target: "PlanTarget", given: FleetWords, name: str) -> None:
    """Save guests on all their hosts, or on none, and show what was saved."""
    from provisioner.commands.fabric import snapshots
    from provisioner.commands.snapshot import listing
    from provisioner.json_document import json_document

    with running_on("snapshot save", target, given) as run:
        saved = snapshots.save(target, run, name)
    if given.json:
        document = snapshots.saved_document(saved)
        output.typed(json_document("snapshot save", Exit.DONE, {**document}))
        return
    for one in saved:
        output.typed(f"{one.host}: {listing.value_line(one.snapshot, one.paused_s)}")


def restore(target: "PlanTarget", given: FleetWords, name: str, *, yes: bool) -> NoReturn:
    """Put guests back on their hosts. Raises VmnetError without `yes`."""
    from provisioner.commands.fabric import snapshots

    _agreed("what guests have done since on several hosts would be lost", yes=yes)
    with running_on("snapshot restore", target, given) as run:
        report = snapshots.restore(target, run, name)
    end(report, json=given.json, every=given.every)


def ls(target: "PlanTarget", given: FleetWords) -> None:
    """List the snapshots that hosts have of a plan; a host that is silent is unknown, and told.

    Ends with 6 then. Raises Complaints about hosts that are.
    """
    from provisioner.commands.fabric import snapshots
    from provisioner.commands.snapshot import listing
    from provisioner.json_document import json_document

    with running_on("snapshot ls", target, given) as run:
        found, silent = snapshots.every(target, run)
    rows = [{**one, "host": host.host} for host in found for one in host.snapshots]
    if given.json:
        status = Exit.PARTLY_DONE if silent else Exit.DONE
        unknown = [{"host": one.host, "why": one.error.what} for one in silent]
        document = {"snapshots": rows, "unknown": unknown}
        output.typed(json_document("snapshot ls", status, document))
        raise typer.Exit(status)
    if rows:
        output.print_rows([("host", *listing.TITLES), *map(_row, rows)])
    elif not silent:
        output.typed("no snapshots")
    status = Exit.PARTLY_DONE
    refuse([VmnetError(one.error.what, fix=one.error.fix, status=status) for one in silent])


def rm(target: "PlanTarget", given: FleetWords, names: Sequence[str], *, yes: bool) -> None:
    """Remove snapshots from all hosts. Raises VmnetError without `yes`."""
    from provisioner.commands.fabric import snapshots

    _agreed("snapshots on several hosts would be removed", yes=yes)
    with running_on("snapshot rm", target, given) as run:
        snapshots.remove(target, run, names)


def _row(one: "dict[str, object]") -> tuple[str, ...]:
    from provisioner.commands.snapshot import listing

    return str(one["host"]), *listing.value_row(one)


def _agreed(what: str, *, yes: bool) -> None:
    if not yes:
        raise bad_input(what, "if that may be lost, say so with --yes")
