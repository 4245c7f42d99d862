"""vmnet host-facts: what this host tells others of itself."""

import typer

from provisioner.cli import output
from provisioner.cli.options import Connection, Json
from provisioner.cli.run import running
from provisioner.commands import command


def host_facts(ctx: typer.Context, connection: Connection = None, *, json: Json = False) -> None:
    """Tell what this host has: cores, memory, NICs and the modes on them, kernel features, VMs.

    Nothing is changed. With --json it is a document with a protocol number, for other hosts.

    Example: vmnet host-facts --json
    """
    with running(command.HOST_FACTS, ctx, json=json) as worker:
        from provisioner.commands.fabric import facts
        from provisioner.fabric import document, listing

        found = facts.facts(worker, connection or "")
        output.typed(document.as_json(found) if json else "\n".join(listing.lines(found)))
