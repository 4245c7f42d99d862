"""ssh, cp, exec, console, logs and export: the ways into guests."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.run import Allowed, Connection, answering, options, target, worker_of
from provisioner.errors import Exit, VmnetError

exports = typer.Typer(no_args_is_help=True, help="Write a plan down for other programs.")

VmName = Annotated[str, typer.Argument(help="The VM; may be left out when there is one only.")]
File = Annotated[Path | None, typer.Option("--file", "-f", help="The plan.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the guest.", min=1)]
Identity = Annotated[
    Path | None, typer.Option("--identity", "-i", help="The private key, instead of your own.")
]
Jump = Annotated[str, typer.Option("--jump", help="Go through this VM of the plan.")]

_CI = ("GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD")
_SOME = 1 << 16


def ssh(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vm: str,
    command: Annotated[
        list[str] | None, typer.Argument(help="A program and its arguments, after --.")
    ] = None,
    file: File = None,
    *,
    identity: Identity = None,
    jump: Jump = "",
    connection: Connection = None,
    timeout: Timeout = 5.0,
) -> None:
    """Log into a VM by ssh, over whichever network lets this host in."""

    def work() -> None:
        from provisioner.commands.access import ssh

        asked = ssh.Asked(_key(identity), jump)
        how, about = (
            options("ssh", timeout, 30),
            target(None, file, None, allowed=Allowed(connection)),
        )
        argv = ssh.ssh(about, how, worker_of(ctx), output.line, vm, command or (), asked=asked)
        _become(ctx, argv)

    answering("ssh", work, worker=ctx.obj)


def cp(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="A file of this host, or VM:PATH.")],
    destination: Annotated[str, typer.Argument(help="VM:PATH, or a file of this host.")],
    file: File = None,
    *,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Copy a folder; by ssh only.")
    ] = False,
    way: Annotated[str, typer.Option(help="ssh, agent, or auto: ssh where it can be.")] = "auto",
    identity: Identity = None,
    jump: Jump = "",
    connection: Connection = None,
    timeout: Timeout = 30.0,
) -> None:
    """Copy a file into a VM or out of it: by ssh where the host reaches it, else by its agent."""

    def work() -> None:
        from provisioner.commands.access import ssh

        if way not in {"auto", "ssh", "agent"}:
            raise VmnetError(
                f'"{way}" is no way to copy', fix="write ssh, agent or auto", status=Exit.BAD_INPUT
            )
        argv = ssh.copy(
            target(None, file, None, allowed=Allowed(connection)),
            options("cp", timeout, 30),
            worker_of(ctx),
            output.line,
            (source, destination),
            asked=ssh.Asked(_key(identity), jump),
            way=way,
            folders=recursive,
            progress=_progress(),
        )
        if argv:
            _become(ctx, argv)

    answering("cp", work, worker=ctx.obj)


def exec_(
    ctx: typer.Context,
    vm: str,
    command: Annotated[list[str], typer.Argument(help="The program and its arguments, after --.")],
    file: File = None,
    connection: Connection = None,
    timeout: Timeout = 60.0,
) -> None:
    """Run a program inside a VM, through its guest agent; end with its exit status.

    It gets standard input when that is not a terminal, 16 MiB at most.
    """

    def work() -> None:
        from provisioner.commands.access import exec as exec_

        how, about = (
            options("exec", timeout, 30),
            target(None, file, None, allowed=Allowed(connection)),
        )
        asked = (command, _input())
        ran = exec_.execute_in(about, how, worker_of(ctx), output.nothing, vm, asked)
        output.foreign(ran.stdout, sys.stdout)
        output.foreign(ran.stderr, sys.stderr)
        if ran.truncated:
            output.line(
                "truncated: it said more than an agent hands over (2 MiB, 256 KiB of errors); "
                "use vmnet ssh, or let it write a file and fetch that: vmnet cp"
            )
        raise typer.Exit(ran.status)

    answering("exec", work, worker=ctx.obj)


def console(
    ctx: typer.Context,
    vm: VmName = "",
    file: File = None,
    *,
    connection: Connection = None,
    escape: Annotated[str, typer.Option(help="The key that leaves it; none for no key.")] = "^]",
    resize: Annotated[
        bool, typer.Option("--resize", help="Let the agent tell the guest our terminal's size.")
    ] = False,
) -> None:
    """Join a VM's console; Ctrl-] leaves it."""

    def work() -> None:
        from provisioner.commands.access import exec as exec_
        from provisioner.guest import console

        key, about = (
            console.escape_byte(escape),
            target(None, file, None, allowed=Allowed(connection)),
        )
        words = ["-f", str(file)] if file else []
        words += ["--connection", connection] if connection else []
        if sys.stdin.isatty():
            output.line(f"the console; {escape} leaves it" if key else "the console")
        exec_.console(
            about,
            options("console", 30, 30),
            worker_of(ctx),
            output.line,
            vm,
            escape=key,
            resize=words if resize else None,
        )

    answering("console", work, worker=ctx.obj)


def logs(
    vm: VmName = "",
    file: File = None,
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines.", min=1)] = 1000,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on as the guest does, until it or Ctrl-C ends it.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as the guest sent them.")] = False,
    qemu: Annotated[bool, typer.Option("--qemu", help="QEMU's own log instead.")] = False,
) -> None:
    """Print what a VM has said on its console."""

    def work() -> None:
        from provisioner.commands.access import exec as exec_
        from provisioner.host.guest import console_log

        log = exec_.log_of(target(None, file, None), vm, qemu=qemu)
        size = log.path.stat().st_size
        tell = _teller(raw=raw)
        if raw:
            tell(console_log.last_bytes(log.path, lines))
        elif said := console_log.last_lines(log.path, lines):
            ends = "" if follow and not console_log.ends_a_line(log.path) else "\n"
            tell(f"{said}{ends}".encode())
        if follow:
            try:
                exec_.follow(log, size, tell)
            except KeyboardInterrupt:
                raise typer.Exit(Exit.INTERRUPTED) from None

    answering("logs", work)


@exports.command(name="ssh-config")
def ssh_config(file: File = None, *, identity: Identity = None) -> None:
    """Print a ssh_config for a plan's guests: ssh -F FILE VM."""

    def work() -> None:
        from provisioner.commands.access import ssh

        about, how = target(None, file, None), options("export", 0, 0)
        output.typed(ssh.config(about, how, output.line, _key(identity)).rstrip("\n"))

    answering("export", work)


def _become(ctx: typer.Context, argv: list[str]) -> None:
    from provisioner.host.system import programs

    worker_of(ctx).close()
    programs.become(argv, "openssh-client")


def _key(identity: Path | None) -> str:
    if identity is None:
        return ""
    if not identity.is_file():
        raise VmnetError(
            f"there is no key {identity}",
            fix="name a private key's file: ssh-keygen -t ed25519",
            status=Exit.BAD_INPUT,
        )
    return str(identity.absolute())


def _input() -> bytes:
    """Read standard input, unless a person would have to type it; a byte too many at most."""
    from provisioner.host.guest.commands import MOST_IN

    if sys.stdin is None or sys.stdin.isatty():
        return b""
    data = bytearray()
    while len(data) <= MOST_IN and (part := os.read(sys.stdin.fileno(), _SOME)):
        data += part
    return bytes(data)


def _teller(*, raw: bool) -> "Callable[[bytes], None]":
    """Pass on what a guest says: as it is when asked to, else harmless to terminals and to CI."""
    from provisioner.guest.console import Harmless

    harmless = Harmless("| " if any(os.environ.get(name) for name in _CI) else "")

    def tell(data: bytes) -> None:
        sys.stdout.buffer.write(data if raw else harmless.text(data).encode())
        sys.stdout.buffer.flush()

    return tell


def _progress() -> Callable[[int, int], None]:
    """Show how far a copy is, where there is a terminal to show it on."""
    if not sys.stderr.isatty():
        return lambda _done, _all: None

    def tell(done: int, of: int) -> None:
        share = f" of {of >> 10}" if of else ""
        sys.stderr.write(f"\r{done >> 10}{share} KiB")
        if done == of:
            sys.stderr.write("\n")
        sys.stderr.flush()

    return tell
