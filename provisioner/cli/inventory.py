"""vmnet ls: all plans of this host."""

from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import Connection, Json
from provisioner.cli.run import running
from provisioner.commands import command


def ls(
    ctx: typer.Context,
    plans: Annotated[
        list[str] | None, typer.Argument(metavar="[PLAN]...", help="Plans, by name; all of them.")
    ] = None,
    connection: Connection = None,
    *,
    json: Json = False,
) -> None:
    """List the plans of this host: what runs of them, what they keep, until when."""
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
