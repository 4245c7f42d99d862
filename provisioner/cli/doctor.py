"""vmnet doctor: what is wrong with a host before anything is brought up there."""

from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import Json, Peer, Yes
from provisioner.cli.run import confirm_probe, running
from provisioner.commands import command
from provisioner.errors import bad_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from provisioner.doctor.findings import Item
    from provisioner.host.system.worker import Worker


def doctor(
    ctx: typer.Context,
    *,
    uplink: Annotated[
        str | None, typer.Option(help="Judge this NIC, and ask the switch behind it.")
    ] = None,
    peer: Peer = None,
    yes: Yes = False,
    ci: Annotated[
        bool, typer.Option("--ci", help="Print lines for GitHub and GitLab runners.")
    ] = False,
    json: Json = False,
) -> None:
    """Look for everything that would keep plans from coming up on this host, with its fix.

    Nothing is changed, and nothing is sent unless --uplink is given; then it is shown before.

    Example: vmnet doctor --uplink eno1
    """
    with running(command.DOCTOR, ctx, json=json) as worker:
        if uplink is None and (peer is not None or yes):
            raise bad_input(
                "--peer and --yes are about a NIC's switch", "name the NIC: --uplink NIC"
            )
        if ci:
            from provisioner.doctor import ci as lines
            from provisioner.host.doctor import host

            output.typed(lines.text(host.nodes().major))
            return
        from provisioner.commands import doctor as looks
        from provisioner.doctor import findings

        with output.progress("doctor") as (tell, _):
            found = looks.look(worker, tell, uplink or "")
            if uplink is not None and not findings.status(found):
                found += _asked(worker, uplink, peer or "", tell, yes=yes)
        output.typed(findings.as_json(found) if json else "\n".join(findings.lines(found)))
        raise typer.Exit(findings.status(found))


def _asked(
    worker: "Worker", uplink: str, peer: str, tell: "Callable[[str], None]", *, yes: bool
) -> "list[Item]":
    from provisioner.commands import doctor, modes

    probe = modes.prepare(worker, uplink, peer)
    confirm_probe(probe, yes=yes)
    return doctor.asked(modes.ask(worker, probe, tell))
