"""vmnet move and receive: a guest goes to another host while it runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import Connection, File, Json, LockTimeout, Sets
from provisioner.cli.run import option_value, plan_paths, plan_target, read, rereadable, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun
from provisioner.errors import bad_input

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget
    from provisioner.plan.hosts import Login

_STAYS = "interrupted: the guest runs on here, or has just arrived there: vmnet status tells"


def move(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vm: Annotated[str, typer.Argument(help="The VM, which runs here.")],
    host: Annotated[
        str, typer.Argument(help="Where to: [USER@]HOST[:PORT], or a host of the plan.")
    ],
    file: File = None,
    sets: Sets = None,
    *,
    uplink: Annotated[
        list[str] | None,
        typer.Option(
            help="What a network's NIC is called there. Repeatable.", metavar="NETWORK=NIC"
        ),
    ] = None,
    bandwidth: Annotated[
        int, typer.Option(help="MiB/s that it may take at most; 0: no limit.", min=0)
    ] = 0,
    connection: Connection = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Move a guest to another host by ssh, while it runs.

    Example: vmnet move web root@h2 --uplink lan=enp3s0
    """
    with running(command.MOVE, ctx, json=json, interrupted=_STAYS) as worker:
        from provisioner.commands.moving.move import Errand, as_json, move
        from provisioner.plan.load.loader import printed

        paths = rereadable(plan_paths(file))
        target = plan_target(paths, sets, connection=connection)
        there = [*(sets or ()), *map(_uplink, uplink or ())]
        errand = Errand(vm, _login(target, host), printed(read(paths), there), bandwidth)
        run = CommandRun(command.MOVE, worker, lock_timeout_s=lock_timeout, tell=output.line)
        moved = move(target, run, errand)
        if json:
            output.typed(as_json(moved))
        else:
            stopped = f", stopped for {moved.downtime_ms} ms" if moved.downtime_ms else ""
            output.typed(f"{moved.vm} runs on {moved.host}{stopped}")
            output.line(f"take {moved.vm} out of the plan here: it is the other host's now")
        raise typer.Exit(moved.status)


def _uplink(text: str) -> str:
    """Return the override of a plan that names a network's NIC. Raises VmnetError."""
    network, equals, nic = text.partition("=")
    if not (network and equals and nic):
        raise bad_input(f"--uplink {text} is not NETWORK=NIC", "write it like --uplink lan=enp3s0")
    return f"networks.{network}.uplink={nic}"


def _login(target: "PlanTarget", host: str) -> "Login":
    """Return where ssh logs in: as the plan says of a host of its, else as it is written."""
    from provisioner.plan.hosts import login

    known = target.plan.hosts.get(host)
    if known and known.ssh:
        return known.ssh
    return option_value("HOST", login, host)


def receive(
    ctx: typer.Context, connection: Connection = None, lock_timeout: LockTimeout = 30.0
) -> None:
    """Take a guest that another host moves here; vmnet move runs it there, by ssh.

    The offer is one line of JSON on standard input, the answers are lines of JSON.

    Example: vmnet receive
    """
    with running(command.RECEIVE, ctx) as worker:
        from provisioner.commands.moving.receive import receive

        run = CommandRun(command.RECEIVE, worker, lock_timeout_s=lock_timeout, tell=output.line)
        raise typer.Exit(receive(run, connection or ""))
