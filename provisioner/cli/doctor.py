"""vmnet doctor: says what is wrong with a host before anything is brought up there."""

from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.run import agreed, answering, worker_of
from provisioner.errors import Exit, VmnetError

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
    peer: Annotated[
        str | None,
        typer.Option(help="With --uplink: who is asked.", show_default="the default gateway"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --uplink: do not ask.")] = False,
    ci: Annotated[
        bool, typer.Option("--ci", help="Print lines for GitHub and GitLab runners.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Write the findings as JSON.")] = False,
) -> None:
    """Look for everything that would keep plans from coming up on this host, and say the mend.

    Nothing is changed, and nothing is sent unless --uplink is given; then it is said before what.
    """

    def work() -> None:
        if uplink is None and (peer is not None or yes):
            raise VmnetError(
                "--peer and --yes are about a NIC's switch",
                fix="name the NIC: --uplink NIC",
                status=Exit.BAD_INPUT,
            )
        if ci:
            _print_lines()
            return
        from provisioner.commands import doctor as flow
        from provisioner.doctor import findings as words

        with output.progress("doctor") as tell:
            found = flow.look(worker_of(ctx), tell, uplink or "")
            if uplink is not None and not words.status(found):
                found += _asked(worker_of(ctx), uplink, peer or "", tell, yes=yes)
        output.typed(words.as_json(found) if json else "\n".join(words.lines(found)))
        raise typer.Exit(words.status(found))

    answering("doctor", work, json=json, worker=ctx.obj)


def _asked(
    worker: "Worker", uplink: str, peer: str, tell: "Callable[[str], None]", *, yes: bool
) -> "list[Item]":
    from provisioner.commands import doctor, modes

    asked = modes.question(worker, uplink, peer)
    agreed(asked, yes=yes)
    return doctor.asked(modes.ask(worker, asked, tell))


def _print_lines() -> None:
    from provisioner.doctor import ci
    from provisioner.host.doctor import host

    output.typed(ci.text(host.nodes().major))
