"""vmnet net: devices without a plan, for people who bring their own VMs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import Json
from provisioner.cli.run import option_value, optional_value, running
from provisioner.errors import bad_input
from provisioner.plan.choices import Mode, SpoofGuard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provisioner.network.standalone.output import NetDevice

app = typer.Typer(
    no_args_is_help=True,
    help="Macvtap devices without a plan, for VMs that you start yourself.",
)


Devices = Annotated[list[str], typer.Argument(metavar="DEV", help="Devices, by name.")]
Mtu = Annotated[str, typer.Option(help="In bytes; the uplink's when left out.")]
Length = Annotated[str, typer.Option(help="Frames that wait for the reader.")]
Allow = Annotated[
    list[str] | None,
    typer.Option(help="In mode source: a MAC whose frames are received. Repeatable."),
]
Promisc = Annotated[
    bool | None,
    typer.Option("--promisc/--no-promisc", help="In mode passthru: receive foreign MACs or not."),
]
Owner = Annotated[str, typer.Option(help="The user who may open the device: name or number.")]
Libvirt = Annotated[bool, typer.Option("--libvirt", help="Print the XML for a libvirt domain.")]
Qemu = Annotated[bool, typer.Option("--qemu", help="Print QEMU's arguments, for a shell.")]


@app.command()
def create(  # noqa: PLR0913  (every one a word of the command line)
    *,
    uplink: Annotated[str, typer.Option(help="The host's NIC to put them on.")],
    mode: Annotated[Mode, typer.Option(help="Who may reach whom.")],
    name: Annotated[str, typer.Option(help="Call it mvn-NAME; several: mvn-NAME0 …")] = "",
    count: Annotated[int, typer.Option(help="How many.", min=1, max=4096)] = 1,
    owner: Owner = "",
    label: Annotated[str, typer.Option(help="A network's name, for plans to ask for it.")] = "",
    mac: Annotated[str, typer.Option(help="Derived when left out.")] = "",
    mtu: Mtu = "",
    queues: Annotated[str, typer.Option(help="Queues of each device.")] = "1",
    txqueuelen: Length = "500",
    allow: Allow = None,
    promisc: Promisc = None,
    spoof_guard: Annotated[
        SpoofGuard, typer.Option(help="What the user of a device cannot forge.")
    ] = SpoofGuard.MAC,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="passthru on the NIC of the host's default route.")
    ] = False,
    json: Json = False,
    libvirt: Libvirt = False,
    qemu: Qemu = False,
) -> None:
    """Make devices: all of them, or none.

    Example: vmnet net create --uplink eno1 --mode bridge --count 2
    """
    with running("net create", json=json):
        from provisioner.commands import net
        from provisioner.network.standalone import device
        from provisioner.network.standalone.device import Wish
        from provisioner.plan import scalars

        wish = Wish(
            uplink=option_value("--uplink", scalars.uplink, uplink),
            mode=mode,
            count=count,
            name=optional_value("--name", device.given_name, name, ""),
            owner=_uid(owner) if owner else 0,
            label=optional_value("--label", scalars.network_name, label, ""),
            mac=optional_value("--mac", scalars.mac, mac, ""),
            mtu=optional_value("--mtu", scalars.mtu, mtu, None),
            queues=option_value("--queues", scalars.queues, queues),
            txqueuelen=option_value("--txqueuelen", scalars.txqueuelen, txqueuelen),
            sources=_macs(allow),
            nopromisc=promisc is False,
            spoof_guard=spoof_guard,
            take_over=take_over,
        )
        _print("net create", net.create(wish, output.line), json=json, libvirt=libvirt, qemu=qemu)


@app.command(name="ls")
def ls_(
    uplink: Annotated[str, typer.Option(help="Only those on this NIC.")] = "",
    *,
    json: Json = False,
) -> None:
    """List the devices that are there.

    Example: vmnet net ls --uplink eno1
    """
    with running("net ls", json=json):
        from provisioner.commands import net

        _print("net ls", net.listed(uplink), json=json)


@app.command()
def show(
    devices: Devices, *, json: Json = False, libvirt: Libvirt = False, qemu: Qemu = False
) -> None:
    """Show all that is known of devices: node, holders, counters, drops.

    Example: vmnet net show mvn0
    """
    with running("net show", json=json):
        from provisioner.commands import net
        from provisioner.network.standalone.output import as_text

        found = net.shown(devices)
        if json or libvirt or qemu:
            _print("net show", found, json=json, libvirt=libvirt, qemu=qemu)
        elif devices:
            output.typed("\n\n".join(map(as_text, found)))


@app.command(name="set")
def set_(  # noqa: PLR0913  (every one a word of the command line)
    devices: Devices,
    *,
    mode: Annotated[Mode | None, typer.Option(help="Who may reach whom.")] = None,
    mtu: Mtu = "",
    txqueuelen: Length = "",
    allow: Allow = None,
    promisc: Promisc = None,
    owner: Owner = "",
    up: Annotated[bool | None, typer.Option("--up/--down", help="Let frames pass or not.")] = None,
    json: Json = False,
) -> None:
    """Change devices while VMs run on them.

    Example: vmnet net set mvn0 --mode vepa
    """
    with running("net set", json=json):
        from provisioner.commands import net
        from provisioner.network.standalone.device import Change
        from provisioner.plan import scalars

        change = Change(
            mode=mode,
            mtu=optional_value("--mtu", scalars.mtu, mtu, None),
            sources=_macs(allow) if allow else None,
            nopromisc=None if promisc is None else not promisc,
            up=up,
            txqueuelen=optional_value("--txqueuelen", scalars.txqueuelen, txqueuelen, None),
            owner=_uid(owner) if owner else None,
        )
        _print("net set", net.change(devices, change, output.line), json=json)


@app.command()
def rm(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="DEV", help="Devices, by name.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that vmnet net made.")] = False,
    uplink: Annotated[str, typer.Option(help="All that are on this NIC.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Also those that a VM holds.")] = False,
) -> None:
    """Remove devices. What vmnet net did not make is never touched.

    Example: vmnet net rm mvn0
    """
    with running("net rm"):
        from provisioner.commands import net

        if sum((bool(devices), everything, bool(uplink))) != 1:
            raise bad_input(
                "which devices are to go?",
                "name them, or say --all, or --uplink NIC: one of the three",
            )
        gone = net.remove(devices or (), output.line, uplink=uplink, force=force)
        output.typed("\n".join(f"{name} is gone" for name in gone) or "nothing to remove")


@app.command(hidden=True)
def restore(path: Annotated[Path, typer.Argument(help="What boot install --net wrote.")]) -> None:
    """Make devices again after a boot of the host: for the unit of vmnet boot install --net."""
    with running("net restore"):
        from provisioner.commands import net

        _print("net restore", net.restore(path, output.line))


def _print(
    command: str,
    devices: "Sequence[NetDevice]",
    *,
    json: bool = False,
    libvirt: bool = False,
    qemu: bool = False,
) -> None:
    from provisioner.network.standalone import output as netshow

    if json:
        typer.echo(netshow.as_json(command, devices))
    elif libvirt:
        output.typed("\n".join(map(netshow.as_libvirt, devices)))
    elif qemu:
        output.typed("\n".join(map(netshow.as_qemu, devices)))
    elif devices:
        output.print_rows(netshow.as_rows(devices))
    else:
        output.typed("there is no device")


def _macs(given: list[str] | None) -> tuple[str, ...]:
    from provisioner.plan import scalars

    return tuple(sorted({option_value("--allow", scalars.mac, one) for one in given or ()}))


def _uid(owner: str) -> int:
    from provisioner.host.system import accounts

    return accounts.uid_of(owner)
