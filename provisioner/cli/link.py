"""vmnet link and vmnet capture: a guest's wire made worse on purpose, or watched."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.run import Allowed, Connection, answering, options, target, worker_of
from provisioner.errors import Exit, VmnetError

Nic = Annotated[str, typer.Argument(help="VM, VM.NUMBER or VM.NETWORK.", metavar="VM[.NIC]")]
File = Annotated[Path | None, typer.Option("--file", "-f", help="The plan.")]


def link(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    nic: Nic,
    state: Annotated[str | None, typer.Argument(help="up or down.", metavar="[up|down]")] = None,
    file: File = None,
    *,
    loss: Annotated[str | None, typer.Option(help="Lose a share of the frames: 5%.")] = None,
    delay: Annotated[str | None, typer.Option(help="Delay what the guest sends: 20ms.")] = None,
    jitter: Annotated[str | None, typer.Option(help="Vary the delay: 5ms.")] = None,
    rate: Annotated[str | None, typer.Option(help="Drop what is above a rate: 10mbit.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take all of that away.")] = False,
    connection: Connection = None,
    lock_timeout: Annotated[
        float, typer.Option(help="Seconds to wait for another command on the plan.", min=0)
    ] = 30.0,
) -> None:
    """Pull a guest's cable, or make its link worse on purpose; without options say how it is.

    vmnet up plugs cables in again; vmnet down takes everything away.
    """

    def work() -> None:
        from provisioner.commands.access import link
        from provisioner.network import impairment
        from provisioner.plan.scalars import BadValue

        if state not in {None, "up", "down"}:
            raise VmnetError(
                f'"{state}" is not a link state', fix="write up or down", status=Exit.BAD_INPUT
            )
        try:
            wish = impairment.wanted(loss, delay, jitter, rate)
        except BadValue as bad:
            raise VmnetError(bad.what, fix=bad.fix, status=Exit.BAD_INPUT) from bad
        asked = wish if str(wish) else None
        if asked and clear:
            raise VmnetError(
                "--clear does not go with what it would take away",
                fix="leave one of them out",
                status=Exit.BAD_INPUT,
            )
        found = link.link(
            target(None, file, None, allowed=Allowed(connection)),
            options("link", 0, lock_timeout),
            worker_of(ctx),
            output.nothing,
            nic,
            up=None if state is None else state == "up",
            wish=asked,
            clear=clear,
        )
        for one in found:
            told = one.found.words or "nothing is done to it"
            lost = f"; {one.found.dropped} frames dropped so far" if one.found.words else ""
            output.typed(f"{one.nic} ({one.device}): {'up' if one.up else 'down'}; {told}{lost}")

    answering("link", work, worker=ctx.obj)


def capture(  # noqa: PLR0913  (every one a word of the command line)
    nic: Nic,
    filters: Annotated[
        list[str] | None, typer.Argument(help="What to capture, as pcap-filter(7) has it.")
    ] = None,
    file: File = None,
    *,
    write: Annotated[
        Path | None, typer.Option("--write", "-w", help="Write packets to this file; - is stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    count: Annotated[int | None, typer.Option("-c", help="End after so many.", min=1)] = None,
    duration: Annotated[float | None, typer.Option(help="End after so many s.", min=0.1)] = None,
    snaplen: Annotated[int, typer.Option(help="Bytes of each frame.", min=64, max=262144)] = 262144,
) -> None:
    """Show the frames of a guest's NIC, both ways, or write them as pcap; Ctrl-C ends it."""

    def work() -> None:
        from provisioner.commands.access import link
        from provisioner.host.probe import capture

        limits = ["-s", str(snaplen), *(["-c", str(count)] if count else [])]
        plan = target(None, file, None)
        into = None
        if write is not None:
            link.capture(plan, nic, (), None, ())  # before a file is made
            into = _into(write, force=force)
        argv = link.capture(plan, nic, filters or (), into, limits)
        said = capture.run(argv, into, output.typed_now, duration)
        for text in said.splitlines():
            if "packet" in text:
                output.line(text)

    answering("capture", work)


def _into(path: Path, *, force: bool) -> int:
    from provisioner.host.probe import capture

    if str(path) != "-":
        return capture.opened(path, force=force)
    if sys.stdout.isatty():
        raise VmnetError(
            "packets are not for a terminal",
            fix="pipe them: vmnet capture VM -w - | wireshark -k -i -",
            status=Exit.BAD_INPUT,
        )
    return sys.stdout.fileno()
