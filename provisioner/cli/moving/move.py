"""vmnet move, drain and receive: guests go to another host."""

import sys
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from provisioner.cli import output
from provisioner.cli.fabric import several
from provisioner.cli.fabric.several import FleetWords
from provisioner.cli.options import Connection, File, Inventory, Json, LockTimeout, Sets
from provisioner.cli.run import option_value, plan_paths, plan_target, read, rereadable, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun
from provisioner.errors import bad_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provisioner.commands.moving.errand import Moved, MoveWay
    from provisioner.commands.target import PlanTarget
    from provisioner.plan.hosts import Login

_STAYS = "interrupted: the guest runs on here, or has just arrived there: vmnet status tells"
_STOPPED = "interrupted: the guest is here as before, unless it has arrived there: vmnet status"
_GOES_ON = "interrupted: its host ends the move that it has begun: vmnet status tells"
_MOST: Final = 16 << 20

Bandwidth = Annotated[int, typer.Option(help="MiB/s that it may take at most; 0: no limit.", min=0)]
Stopped = Annotated[
    bool, typer.Option("--stopped", help="Shut it down, carry its disks, start it there.")
]


def move(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vm: Annotated[str, typer.Argument(help="The VM.")],
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
    stopped: Stopped = False,
    or_stopped: Annotated[
        bool, typer.Option("--or-stopped", help="As --stopped where it cannot be moved live.")
    ] = False,
    bandwidth: Bandwidth = 0,
    inventory: Inventory = None,
    parts: Annotated[
        bool, typer.Option("--parts", help="Of several hosts: their plans are standard input.")
    ] = False,
    connection: Connection = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Move a guest to another host by ssh: while it runs, or, with --stopped, with its disks.

    Example: vmnet move web root@h2 --uplink lan=enp3s0
    """
    gone = _STOPPED if stopped or or_stopped else _STAYS
    with running(command.MOVE, ctx, json=json, interrupted=gone) as worker:
        from provisioner.commands.moving.errand import Errand
        from provisioner.commands.moving.move import move

        way = _way(stopped=stopped, or_stopped=or_stopped)
        if parts:
            target, there = _parts(connection)
        else:
            paths = rereadable(plan_paths(file))
            target = plan_target(paths, sets, connection=connection, several=True)
            if several.is_meant(target, inventory):
                several.refuse(target, {"--uplink": uplink, "--connection": connection})
                worker.close()
                given = FleetWords(lock_timeout_s=lock_timeout, json=json, inventory=inventory)
                _on_hosts(target, given, (vm, host), (way, bandwidth))
            there = _printed(read(paths), [*(sets or ()), *map(_uplink, uplink or ())])
        errand = Errand(vm, _login(target, host), there, bandwidth, way)
        run = CommandRun(command.MOVE, worker, lock_timeout_s=lock_timeout, tell=output.line)
        moved = move(target, run, errand)
        _end(moved, json=json, next_line=f"take {vm} out of the plan here: it is {host}'s now")


def _end(moved: "Moved", *, json: bool, next_line: str = "") -> NoReturn:
    from provisioner.commands.moving.errand import as_json

    if json:
        output.typed(as_json(moved))
    else:
        halted = f", stopped for {moved.downtime_ms} ms" if moved.downtime_ms else ""
        output.typed(f"{moved.vm} runs on {moved.host}{halted}")
        if next_line:
            output.line(next_line)
    raise typer.Exit(moved.status)


def _way(*, stopped: bool, or_stopped: bool) -> "MoveWay":
    from provisioner.commands.moving.errand import MoveWay

    if stopped:
        return MoveWay.STOPPED
    return MoveWay.AS_POSSIBLE if or_stopped else MoveWay.LIVE


def _printed(written: "Sequence[tuple[str, str]]", sets: list[str]) -> str:
    from provisioner.plan.load.loader import printed

    return printed(written, sets)


def _parts(connection: str | None) -> "tuple[PlanTarget, str]":
    """Read the plan of this host, and the text of the other one's. Raises VmnetError."""
    from provisioner.commands.fabric.moving import HERE, THERE
    from provisioner.json_document import strict

    try:
        found = strict(sys.stdin.buffer.read(_MOST).decode())
        here, there = found[HERE], found[THERE]
    except (ValueError, RecursionError, TypeError, KeyError):
        here = there = None
    if not (isinstance(here, str) and isinstance(there, str)):
        raise bad_input(
            "standard input has no plans of two hosts",
            "leave --parts out: vmnet move of a plan of several hosts calls it on its hosts",
        )
    return plan_target((), text=here, connection=connection), there


def _on_hosts(
    target: "PlanTarget", given: FleetWords, what: tuple[str, str], how: "tuple[MoveWay, int]"
) -> NoReturn:
    """Move a VM of a plan of several hosts; `what` is the VM and its new host."""
    from provisioner.commands.fabric import moving

    with several.running_on("move", target, given) as run:
        moved = moving.move(target, run, *what, moving.FleetErrand(*how))
    _end(moved, json=given.json)


def drain(  # noqa: PLR0913  (every one a word of the command line)
    host: Annotated[str, typer.Argument(help="The host of the plan that its VMs leave.")],
    file: File = None,
    sets: Sets = None,
    *,
    stopped: Stopped = False,
    bandwidth: Bandwidth = 0,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Move all VMs of a plan of several hosts away from one of them, live where that is possible.

    Example: vmnet drain h1 -f lab.yaml
    """
    with running(command.DRAIN, json=json, interrupted=_GOES_ON):
        from provisioner.commands.fabric import moving

        target = plan_target(plan_paths(file), sets, several=True)
        if not several.is_meant(target, inventory):
            raise bad_input(
                f"{target.name} is a plan of one host",
                "move its VMs one by one: vmnet move VM HOST",
            )
        given = FleetWords(lock_timeout_s=lock_timeout, json=json, inventory=inventory)
        way = _way(stopped=stopped, or_stopped=True)
        with several.running_on("drain", target, given) as run:
            drained = moving.drain(target, run, host, moving.FleetErrand(way, bandwidth))
        if json:
            output.typed(moving.as_json(drained))
        else:
            for one in drained.moved:
                output.typed(f"{one.vm} runs on {one.host}")
            for each in drained.failed:
                output.typed(f"{each.vm} has not moved: {each.what}\n  fix: {each.fix}")
        raise typer.Exit(drained.status)


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
