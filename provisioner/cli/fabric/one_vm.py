"""Commands about one VM of a plan of several hosts: vmnet on the VM's host does it."""

import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NoReturn

import typer

from provisioner.cli import output
from provisioner.cli.fabric.several import refuse

if TYPE_CHECKING:
    from provisioner.commands.fabric.one_vm import HostedVm
    from provisioner.commands.target import PlanTarget
    from provisioner.host.fabric.where import SoughtHost
    from provisioner.plan.hosts import Login

# A folder there has what is on the way: the name of the copy is known when all of it has come.
_ROOM: Final = "d=$(mktemp -d) || exit; trap 'rm -rf \"$d\"' EXIT; trap 'exit 143' HUP INT TERM; "
_PUT_SCRIPT: Final = f'{_ROOM}n=$1 to=$2; shift 2; tar -xopf - -C "$d" && "$@" -- "$d/$n" "$to"'
_GET_SCRIPT: Final = f'{_ROOM}from=$1; shift; "$@" -- "$from" "$d/file" >&2 && cat "$d/file"'
_MOST_KEPT: Final = 4 << 20  # of what a program in a guest says; an agent hands over less


def find(
    target: "PlanTarget", vm: str, inventory: Path | None, alone: Mapping[str, object]
) -> "HostedVm":
    """Find a VM's host. Raises VmnetError for an option of `alone`, those of plans of one host."""
    from provisioner.commands.fabric import one_vm
    from provisioner.host.fabric.where import seek

    refuse(target, alone)

    def asks(logins: "Mapping[str, Login]") -> "Mapping[str, SoughtHost]":
        return seek(logins, inventory)

    return one_vm.find(target, vm, asks)


def execute(
    plan: str, found: "HostedVm", argv: Sequence[str], timeout_s: float, data: bytes
) -> NoReturn:
    """Run a program in a VM, and end with its status."""
    from provisioner.host.fabric import ssh_run

    words = ("--name", plan, "--timeout", f"{timeout_s:g}", found.vm, "--", *argv)
    out, errors = bytearray(), bytearray()
    passed = ssh_run.Passed(_kept(out), _kept(errors), lambda stream: stream.write(data))
    status = ssh_run.run(found.host, found.shell, found.vmnet("exec", *words), passed)
    output.foreign(bytes(out), sys.stdout)
    output.foreign(bytes(errors), sys.stderr)
    raise typer.Exit(status)


def there(target: "PlanTarget", found: "HostedVm", words: Sequence[str]) -> NoReturn:
    """Run a vmnet command about a VM on its host, and end with its status."""
    from provisioner.commands.fabric.one_vm import on_part

    said = on_part(target, found, words)
    output.foreign(said.stdout.encode(), sys.stdout)
    _told(said.stderr.encode())
    raise typer.Exit(said.status)


def of_nic(target: "PlanTarget", nic: str) -> str:
    """Return the VM whose NIC is meant by a word; the word itself where none is."""
    names = (vm.name for vm in target.plan.vms if nic.startswith(f"{vm.name}."))
    return max(names, key=len, default=nic)


def logs(
    plan: str,
    found: "HostedVm",
    options: Sequence[str],
    write: Callable[[bytes], None],
    *,
    follow: bool,
) -> NoReturn:
    """Print what a VM has said, and goes on to say."""
    from provisioner.host.fabric import ssh_run

    words = ("--name", plan, *options, *(["--follow"] if follow else []), found.vm)
    passed = ssh_run.Passed(write, _told, reader=sys.stdout.fileno())
    status = ssh_run.run(found.host, found.shell, found.vmnet("logs", *words), passed)
    raise typer.Exit(status)


def console(plan: str, found: "HostedVm", options: Sequence[str]) -> NoReturn:
    """Let ssh take the place of vmnet, and vmnet there join the console."""
    line = found.vmnet("console", "--name", plan, *options, found.vm)
    become(found, line, tty=sys.stdout.isatty())


def ssh(
    target: "PlanTarget", found: "HostedVm", options: Sequence[str], argv: Sequence[str]
) -> NoReturn:
    """Let ssh take the place of vmnet, and log in to the VM from its host.

    Raises VmnetError when no network leads there.
    """
    from provisioner.commands.fabric.one_vm import ssh_line

    words = (*options, found.vm, *(["--", *argv] if argv else []))
    become(found, ssh_line(target, found, words), tty=not argv)


def become(found: "HostedVm", line: str, *, tty: bool) -> NoReturn:
    """Let ssh take the place of vmnet; with `tty` the program there has the terminal, if any."""
    from provisioner.host.system import programs

    terminal = tty and sys.stdin.isatty()
    programs.become(found.shell.argv(line, terminal=terminal), "openssh-client")


def copy(
    target: "PlanTarget",
    inventory: Path | None,
    paths: tuple[str, str],
    timeout_s: float,
    alone: Mapping[str, object],
) -> NoReturn:
    """Copy a file into a VM or out of it, by the agent; `paths` are source and destination.

    Raises VmnetError when it cannot be read or written here, and as `find` does.
    """
    from provisioner.guest import openssh

    copied = openssh.copy_spec(*paths, [vm.name for vm in target.plan.vms])
    found = find(target, copied.vm, inventory, alone)
    own = (found.shell.executable, "cp", "--name", target.name)
    words = (*own, "--timeout", f"{timeout_s:g}", "--way", "agent")
    inside = f"{copied.vm}:{copied.there}"
    send = _put if copied.to_guest else _get
    raise typer.Exit(send(found, copied.here, inside, words))


def _put(found: "HostedVm", here: str, inside: str, words: Sequence[str]) -> int:
    from provisioner.commands.access.own_file import opened
    from provisioner.host.fabric import ssh_run

    with opened(here) as (file, about):
        entry = tarfile.TarInfo(Path(here).name)
        entry.size, entry.mode = about.st_size, about.st_mode & 0o777

        def feed(stream: IO[bytes]) -> None:
            with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                tar.addfile(entry, file)

        script = ["sh", "-c", _PUT_SCRIPT, "sh", entry.name, inside, *words]
        passed = ssh_run.Passed(lambda _: None, _told, feed)
        return ssh_run.run(found.host, found.shell, found.shell.line(script), passed)


def _get(found: "HostedVm", here: str, inside: str, words: Sequence[str]) -> int:
    from provisioner.commands.access.own_file import arriving, refuse_large
    from provisioner.host.fabric import ssh_run

    with arriving(here, inside.partition(":")[2]) as arrived:

        def take(data: bytes) -> None:
            arrived.write(data)
            refuse_large(arrived.tell(), inside)

        script = ["sh", "-c", _GET_SCRIPT, "sh", inside, *words]
        passed = ssh_run.Passed(take, _told)
        status = ssh_run.run(found.host, found.shell, found.shell.line(script), passed)
        if status:
            raise typer.Exit(status)  # and its name does not appear
        return status


def _kept(into: bytearray) -> Callable[[bytes], None]:
    return lambda piece: into.extend(piece[: _MOST_KEPT - len(into)])


def _told(data: bytes) -> None:
    """Show what vmnet on another host tells."""
    from provisioner.text import sanitize

    sys.stderr.write(sanitize(data.decode("utf-8", "replace")))
    sys.stderr.flush()
