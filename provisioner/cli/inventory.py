"""vmnet ls, gc and extend: all plans of this host, what is nobody's, until when one is up."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from provisioner.cli import output
from provisioner.cli.options import Connection, Json, LockTimeout, Yes
from provisioner.cli.run import confirm, name_target, option_value, optional_value, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun
from provisioner.errors import Exit

if TYPE_CHECKING:
    from provisioner.host.system.worker import Worker
    from provisioner.inventory.garbage import Listed, Taken
    from provisioner.inventory.judge import GcWish

_NEVER = "never"
_GOES_ON = "interrupted: what was begun is finished; vmnet gc goes on from here"
_TO_TAKE = "to take that away: vmnet gc --yes"


def ls(
    ctx: typer.Context,
    plans: Annotated[
        list[str] | None, typer.Argument(metavar="PLAN", help="Plans, by name; all of them.")
    ] = None,
    connection: Connection = None,
    *,
    json: Json = False,
) -> None:
    """List the plans of this host: what runs of them, what they keep, until when.

    Example: vmnet ls
    """
    with running(command.LS, ctx, json=json) as worker:
        from provisioner.commands.inventory.read import read
        from provisioner.inventory import listing

        found, reading = read(worker, connection or "")
        found = found.only(plans or ())
        if json:
            typer.echo(listing.as_json(found, reading.now))
            return
        if found.plans:
            output.print_rows(listing.as_rows(found, reading.now), listing.WIDTH)
        else:
            output.typed("there is no plan")
        for note in listing.notes(found, reading.now):
            output.line(note)


def gc(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plans: Annotated[
        list[str] | None, typer.Argument(metavar="PLAN", help="Plans, by name; all of them.")
    ] = None,
    *,
    expired: Annotated[
        bool, typer.Option("--expired", help="Only plans whose time (up --ttl) is over.")
    ] = False,
    older_than: Annotated[
        str,
        typer.Option(help="Only plans made so long ago: 30m, 2h, 7d.", metavar="TIME"),
    ] = "",
    disks: Annotated[
        bool, typer.Option("--disks", help="Remove kept disks too, with what guests have written.")
    ] = False,
    yes: Yes = False,
    reap: Annotated[str, typer.Option("--reap", hidden=True)] = "",
    connection: Connection = None,
    lock_timeout: LockTimeout = 5.0,
    json: Json = False,
) -> None:
    """List what dead plans have left on this host; with --yes, take it away.

    Example: vmnet gc --yes
    """
    with running(command.GC, ctx, json=json, interrupted=_GOES_ON) as worker:
        from provisioner.commands.inventory.gc import listed
        from provisioner.inventory import garbage, times
        from provisioner.inventory.judge import GcWish

        older_than_s = optional_value("--older-than", times.seconds, older_than, 0)
        wish = GcWish(expired, older_than_s, disks, tuple(plans or ()))
        if reap:
            run = CommandRun(command.GC, worker, lock_timeout_s=lock_timeout, tell=output.line)
            _reap(reap, connection, wish, replace(run, doomed=None if disks else frozenset()))
        found = listed(worker, wish, connection or "")
        goes = bool(found.garbage or found.ownerless)
        if not json and (goes or not yes):  # a timer that finds nothing says nothing
            _show(found)
        if goes and not yes and not json and sys.stdin.isatty():
            confirm("Take that away?", "nothing has been taken away", "say so with --yes")
            yes = True
        taken = _taken(worker, found, wish) if goes and yes else []
        if json:
            typer.echo(garbage.as_json(found, taken))
        elif goes and not yes:
            output.line(_TO_TAKE)
        for one in taken if not json else ():
            steps = f"{len(one.done)} things deleted"
            output.typed(f"{one.name}: {one.error or steps}")
        failed = [one.status for one in taken if one.status]
        raise typer.Exit(Exit.PARTLY_DONE if failed else Exit.DONE)


def _show(found: "Listed") -> None:
    from provisioner.inventory import garbage
    from provisioner.inventory.listing import WIDTH

    rows = garbage.as_rows(found)
    if len(rows) > 1:
        output.print_rows(rows, WIDTH)
    else:
        output.typed("there is nothing to take away")
    for note in garbage.notes(found):
        output.line(note)


def _taken(worker: "Worker", found: "Listed", wish: "GcWish") -> "list[Taken]":
    from provisioner.commands.inventory.gc import collected

    return list(collected(worker, found, wish, output.line))


def _reap(plan: str, connection: str | None, wish: "GcWish", run: CommandRun) -> NoReturn:
    """Take one plan away, in the process that a gc has started for it."""
    from provisioner.commands.inventory.gc import reap
    from provisioner.commands.lifecycle.down import taken_away
    from provisioner.report.document import as_json

    report = reap(name_target(plan, connection), wish, run, taken_away)
    typer.echo(as_json(report))
    raise typer.Exit(report.status)


def extend(
    ctx: typer.Context,
    plan: Annotated[str, typer.Argument(help="The plan, by name.")],
    ttl: Annotated[str, typer.Argument(help="From now on: 30m, 2h, 7d; or never.", metavar="TIME")],
    connection: Connection = None,
    lock_timeout: LockTimeout = 30.0,
) -> None:
    """Give a plan more time, or less, until it may be taken away.

    Example: vmnet extend lab 2h
    """
    with running(command.EXTEND, ctx) as worker:
        from provisioner.commands.inventory.extend import extend
        from provisioner.inventory import times

        ttl_s = 0 if ttl == _NEVER else option_value("TIME", times.seconds, ttl)
        run = CommandRun(command.EXTEND, worker, lock_timeout_s=lock_timeout, tell=output.line)
        extend(name_target(plan, connection), ttl_s, run)
        span = f"is up for {times.span(ttl_s)} from now" if ttl_s else "has no expiry any more"
        output.typed(f"{plan}: {span}")


def adopt(
    ctx: typer.Context,
    domains: Annotated[
        list[str] | None,
        typer.Argument(metavar="DOMAIN", help="Domains; all that run and have a macvtap."),
    ] = None,
    name: Annotated[str, typer.Option(help="The plan's name.")] = "adopted",
    connection: Connection = None,
) -> None:
    """Print a plan for running libvirt domains with macvtap NICs; touch nothing.

    Example: vmnet adopt --name lab
    """
    with running(command.ADOPT, ctx) as worker:
        from provisioner.commands.inventory.adopt import adopt

        plan = name_target(name, connection)
        text = adopt(worker, plan.name, tuple(domains or ()), plan.uri, output.line)
        typer.echo(text, nl=False)
