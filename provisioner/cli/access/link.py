"""vmnet link and vmnet capture: a guest's link impaired, or its frames shown."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.fabric import one_vm, several
from provisioner.cli.options import Connection, File, Inventory, LockTimeout, MadeName, Nic
from provisioner.cli.run import known_target, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun
from provisioner.errors import bad_input


def link(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    nic: Nic,
    state: Annotated[str | None, typer.Argument(help="up or down.", metavar="up|down")] = None,
    file: File = None,
    *,
    name: MadeName = None,
    loss: Annotated[str | None, typer.Option(help="Lose a share of the frames: 5%.")] = None,
    delay: Annotated[str | None, typer.Option(help="Delay what the guest sends: 20ms.")] = None,
    jitter: Annotated[str | None, typer.Option(help="Vary the delay: 5ms.")] = None,
    rate: Annotated[str | None, typer.Option(help="Drop what is above a rate: 10mbit.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take all of that away.")] = False,
    connection: Connection = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
) -> None:
    """Set a guest's link down or up, or impair it; without options show how it is.

    vmnet up sets links up again; only --clear and vmnet down take loss, rate and delay away.

    Example: vmnet link web --loss 5% --delay 20ms
    """
    with running(command.LINK, ctx) as worker:
        from provisioner.commands.access import link
        from provisioner.network import impairment
        from provisioner.plan.scalars import BadValue

        if state not in {None, "up", "down"}:
            raise bad_input(f'"{state}" is not a link state', "write up or down")
        try:
            wish = impairment.wanted(loss, delay, jitter, rate)
        except BadValue as bad:
            raise bad_input(bad.what, bad.fix) from bad
        impaired = wish if str(wish) else None
        if impaired and clear:
            raise bad_input(
                "--clear does not go with what it would take away", "leave one of them out"
            )
        target = known_target(name, file, connection=connection, several=True)
        if several.is_meant(target, inventory):
            options = several.words(loss=loss, delay=delay, jitter=jitter, rate=rate, clear=clear)
            words = (*options, "--lock-timeout", f"{lock_timeout:g}", nic, *filter(None, [state]))
            alone = {"--connection": connection}
            hosted = one_vm.find(target, one_vm.of_nic(target, nic), inventory, alone)
            one_vm.there(target, hosted, ("link", *words))
        found = link.link(
            target,
            CommandRun(command.LINK, worker, lock_timeout_s=lock_timeout),
            nic,
            up=None if state is None else state == "up",
            wish=impaired,
            clear=clear,
        )
        for one in found:
            output.typed(str(one))


def capture(  # noqa: PLR0913  (every one a word of the command line)
    nic: Nic,
    filters: Annotated[
        list[str] | None, typer.Argument(help="What to capture, as pcap-filter(7) has it.")
    ] = None,
    file: File = None,
    *,
    name: MadeName = None,
    write: Annotated[
        Path | None, typer.Option("--write", "-w", help="Write packets to this file; - is stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    count: Annotated[int | None, typer.Option("-c", help="End after so many.", min=1)] = None,
    duration: Annotated[float | None, typer.Option(help="End after so many s.", min=0.1)] = None,
    snaplen: Annotated[int, typer.Option(help="Bytes of each frame.", min=64, max=262144)] = 262144,
) -> None:
    """Show the frames of a guest's NIC, both ways, or write them as pcap; Ctrl-C ends it.

    Example: vmnet capture web -w web.pcap icmp
    """
    with running(command.CAPTURE):
        from provisioner.commands.access import link
        from provisioner.host.probe import capture

        limits = ["-s", str(snaplen), *(["-c", str(count)] if count else [])]
        target = known_target(name, file)
        into = None
        if write is not None:
            link.tcpdump(target, nic, (), None, ())  # before a file is made
            into = _into(write, force=force)
        argv = link.tcpdump(target, nic, filters or (), into, limits)
        messages = capture.run(argv, into, output.typed_now, duration)
        for text in messages.splitlines():
            if "packet" in text:
                output.line(text)


def _into(path: Path, *, force: bool) -> int:
    from provisioner.host.probe import capture

    if str(path) != "-":
        return capture.opened(path, force=force)
    if sys.stdout.isatty():
        raise bad_input(
            "packets are not for a terminal",
            "pipe them: vmnet capture VM -w - | wireshark -k -i -",
        )
    return sys.stdout.fileno()
