"""vmnet exec, console and logs: ways into a guest that need no network."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.fabric import one_vm, several
from provisioner.cli.options import (
    Connection,
    File,
    FollowedFile,
    GuestTimeout,
    Inventory,
    Name,
    Vm,
)
from provisioner.cli.run import (
    file_words,
    marked_target,
    plan_paths,
    rereadable,
    running,
    status_of,
)
from provisioner.commands import command
from provisioner.commands.target import CommandRun

_CI = ("GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD")
_READ = 1 << 16


def exec_(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vm: str,
    argv: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND", help="The program and its arguments, after --."),
    ],
    file: File = None,
    *,
    name: Name = None,
    connection: Connection = None,
    inventory: Inventory = None,
    timeout: GuestTimeout = 60.0,
) -> None:
    """Run a program inside a VM, through its guest agent; end with its exit status.

    It gets standard input when that is not a terminal, 16 MiB at most.

    Example: vmnet exec web -- cat /etc/os-release
    """
    with running(command.EXEC, ctx) as worker:
        from provisioner.commands.access.console import execute

        target = marked_target(name, file, connection=connection, several=True)
        if several.is_meant(target, inventory):
            found = one_vm.find(target, vm, inventory, {"--connection": connection})
            one_vm.execute(target.name, found, argv, timeout, _input())
        run = CommandRun(command.EXEC, worker, timeout)
        ran = execute(target, run, vm, argv, _input())
        output.foreign(ran.stdout, sys.stdout)
        output.foreign(ran.stderr, sys.stderr)
        if ran.truncated:
            output.line(
                "truncated: it said more than an agent hands over (2 MiB, 256 KiB of errors); "
                "use vmnet ssh, or let it write a file and fetch that: vmnet cp"
            )
        raise typer.Exit(ran.status)


def console(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    vm: Vm = "",
    file: File = None,
    *,
    name: Name = None,
    connection: Connection = None,
    inventory: Inventory = None,
    escape: Annotated[str, typer.Option(help="The key that leaves it; none for no key.")] = "^]",
    resize: Annotated[
        bool, typer.Option("--resize", help="Let the agent tell the guest our terminal's size.")
    ] = False,
) -> None:
    """Join a VM's console; Ctrl-] leaves it.

    Example: vmnet console web
    """
    with running(command.CONSOLE, ctx) as worker:
        from provisioner.commands.access.console import console
        from provisioner.guest import console as guest_console

        paths = () if name else plan_paths(file)
        argv = ["--name", name] if name else file_words(rereadable(paths) if resize else paths)
        key = guest_console.escape_byte(escape)
        target = marked_target(name, paths, connection=connection, several=True)
        if several.is_meant(target, inventory):
            found = one_vm.find(target, vm, inventory, {"--connection": connection})
            worker.close()
            own = ["--escape", escape, *(["--resize"] if resize else [])]
            one_vm.console(target.name, found, own)
        argv += ["--connection", connection] if connection else []
        if sys.stdin.isatty():
            output.line(f"the console; {escape} leaves it" if key else "the console")
        run = CommandRun(command.CONSOLE, worker, 30, tell=output.line)
        console(target, run, vm, escape=key, resize=argv if resize else None)


def logs(  # noqa: PLR0913  (every one a word of the command line)
    vm: Vm = "",
    file: FollowedFile = None,
    *,
    name: Name = None,
    inventory: Inventory = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines.", min=1)] = 1000,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on as the guest does, until it or Ctrl-C ends it."),
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as the guest sent them.")] = False,
    qemu: Annotated[bool, typer.Option("--qemu", help="QEMU's own log instead.")] = False,
) -> None:
    """Print what a VM has said on its console.

    Example: vmnet logs web -f
    """
    with running(command.LOGS):
        from provisioner.commands.access.console import find_log, follow_log
        from provisioner.host.guest import console_log

        target, write = marked_target(name, file, several=True), _writer(raw=raw)
        if several.is_meant(target, inventory):
            own = several.words(lines=lines, raw=raw, qemu=qemu)
            hosted = one_vm.find(target, vm, inventory, {})
            with _until_interrupted():
                one_vm.logs(target.name, hosted, own, write, follow=follow)
        log = find_log(target, vm, qemu=qemu)
        size = log.path.stat().st_size
        if raw:
            write(console_log.last_bytes(log.path, lines))
        elif text := console_log.last_lines(log.path, lines):
            end = "" if follow and not console_log.ends_a_line(log.path) else "\n"
            write(f"{text}{end}".encode())
        if follow:
            with _until_interrupted():
                follow_log(log, size, write, sys.stdout.fileno())


@contextmanager
def _until_interrupted() -> Iterator[None]:
    """End without a word when the user interrupts what would go on for ever."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(status_of(interrupt)) from None


def _input() -> bytes:
    """Read standard input, unless a person would have to type it; a byte too many at most."""
    from provisioner.host.guest.commands import MOST_IN

    if sys.stdin is None or sys.stdin.isatty():
        return b""
    data = bytearray()
    while len(data) <= MOST_IN and (part := os.read(sys.stdin.fileno(), _READ)):
        data += part
    return bytes(data)


def _writer(*, raw: bool) -> Callable[[bytes], None]:
    """Return what passes on a guest's output: raw, else harmless to terminals and to CI runners."""
    from provisioner.guest.console import Harmless

    harmless = Harmless("| " if any(os.environ.get(name) for name in _CI) else "")

    def write(data: bytes) -> None:
        sys.stdout.buffer.write(data if raw else harmless.text(data).encode())
        sys.stdout.buffer.flush()

    return write
