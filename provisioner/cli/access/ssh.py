"""vmnet ssh and cp: ways into guests over the network."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.fabric import one_vm, several
from provisioner.cli.help.screen import SCREEN
from provisioner.cli.options import (
    Connection,
    File,
    GuestTimeout,
    Identity,
    Jump,
    LongInventory,
    MadeName,
    Name,
)
from provisioner.cli.run import known_target, marked_target, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun
from provisioner.errors import bad_input

if TYPE_CHECKING:
    from provisioner.host.system.worker import Worker


def ssh(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vm: str,
    argv: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="A program and its arguments, after --."),
    ] = None,
    file: File = None,
    *,
    name: MadeName = None,
    identity: Identity = None,
    jump: Jump = "",
    print_line: Annotated[
        bool, typer.Option("--print", help="Print the command line of ssh, and run nothing.")
    ] = False,
    connection: Connection = None,
    inventory: LongInventory = None,
    timeout: GuestTimeout = 5.0,
) -> None:
    """Log into a VM by ssh, over whichever network lets this host in.

    Example: vmnet ssh web -- uname -a
    """
    with running(command.SSH, ctx) as worker:
        from provisioner.commands.access.ssh import SshOptions, ssh

        how = SshOptions(private_key(identity), jump)
        run = CommandRun(command.SSH, worker, timeout, tell=output.line)
        target = known_target(name, file, connection=connection, several=True)
        if several.is_meant(target, inventory):
            alone = {"--identity": identity, "--connection": connection, "--print": print_line}
            found = one_vm.find(target, vm, inventory, alone)
            own = several.words(jump=jump, timeout=f"{timeout:g}")
            worker.close()
            one_vm.ssh(target, found, own, argv or ())
        line = ssh(target, run, vm, argv or (), how)
        if print_line:
            output.foreign(f"{shlex.join(line)}\n".encode(), sys.stdout)
            return
        _become(worker, line)


def cp(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="A file of this host, or VM:PATH.")],
    destination: Annotated[str, typer.Argument(help="VM:PATH, or a file of this host.")],
    file: File = None,
    *,
    name: Name = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Copy a folder; by ssh only.")
    ] = False,
    way: Annotated[str, typer.Option(help="ssh, agent, or auto: ssh where it can be.")] = "auto",
    identity: Identity = None,
    jump: Jump = "",
    connection: Connection = None,
    inventory: LongInventory = None,
    timeout: GuestTimeout = 30.0,
) -> None:
    """Copy a file into a VM or out of it: by ssh where the host reaches it, else by its agent.

    Example: vmnet cp app.conf web:/etc/app.conf
    """
    with running(command.CP, ctx) as worker:
        from provisioner.commands.access.cp import cp
        from provisioner.commands.access.ssh import SshOptions

        if way not in {"auto", "ssh", "agent"}:
            raise bad_input(f'"{way}" is not a way to copy', "write ssh, agent or auto")
        target = marked_target(name, file, connection=connection, several=True)
        if several.is_meant(target, inventory):
            alone: dict[str, object] = {"--identity": identity, "--connection": connection}
            alone |= {"--jump": jump, "--recursive": recursive, "--way ssh": way == "ssh"}
            one_vm.copy(target, inventory, (source, destination), timeout, alone)
        argv = cp(
            target,
            CommandRun(command.CP, worker, timeout, tell=output.line),
            (source, destination),
            how=SshOptions(private_key(identity), jump),
            way=way,
            folders=recursive,
            progress=_progress(),
        )
        if argv:
            _become(worker, argv)


def _become(worker: "Worker", argv: list[str]) -> None:
    from provisioner.host.system import programs

    worker.close()
    programs.become(argv, "openssh-client")


def private_key(identity: Path | None) -> str:
    """Return the path of a private key's file, "" without one. Raises VmnetError."""
    if identity is None:
        return ""
    if not identity.is_file():
        raise bad_input(
            f"there is no key {identity}", "name a private key's file: ssh-keygen -t ed25519"
        )
    return str(identity.absolute())


def _progress() -> Callable[[int, int], None]:
    """Return what shows how far a copy is, where there is a terminal to show it on."""
    if not SCREEN.is_live():
        return lambda _done, _all: None

    def show(done: int, of: int) -> None:
        share = f" of {of >> 10}" if of else ""
        sys.stderr.write(f"\r{done >> 10}{share} KiB")
        if done == of:
            sys.stderr.write("\n")
        sys.stderr.flush()

    return show
