"""vmnet export: a plan written down for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.access.ssh import private_key
from provisioner.cli.options import File, Identity, Vm
from provisioner.cli.run import placed_target, plan_target, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun

app = typer.Typer(no_args_is_help=True, help="Write a plan down for other programs.")


Network = Annotated[
    str, typer.Option(help="A network of the plan; may be left out when there is one only.")
]
Ranges = Annotated[
    list[str] | None,
    typer.Option(
        "--range",
        metavar="CIDR",
        help="Addresses for them, a part of the subnet; the largest free one without. Repeatable.",
    ),
]
Images = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        metavar="IMAGE=REFERENCE",
        help="The engine's own image for an image of the plan. Repeatable.",
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="KEY",
        help="Leave out what the engine has nothing for, as spoof_guard. Repeatable.",
    ),
]


class GraphFormat(StrEnum):
    """What a graph is written as."""

    DOT = "dot"
    MERMAID = "mermaid"
    SVG = "svg"
    HTML = "html"


@app.command(name="ssh-config")
def ssh_config(file: File = None, *, identity: Identity = None) -> None:
    """Print a ssh_config for a plan's guests: ssh -F FILE VM.

    Example: vmnet export ssh-config -f lab.yaml
    """
    with running(command.EXPORT) as worker:
        from provisioner.commands.access.ssh import ssh_config

        run = CommandRun(command.EXPORT, worker, tell=output.line)
        output.typed(ssh_config(plan_target(file), run, private_key(identity)).rstrip("\n"))


@app.command()
def ansible(file: File = None, *, identity: Identity = None) -> None:
    """Print an inventory of Ansible: a group for the plan, and one for each of its networks.

    Example: vmnet export ansible -f lab.yaml
    """
    with running(command.EXPORT) as worker:
        from provisioner.commands.access.export import inventory

        run = CommandRun(command.EXPORT, worker, tell=output.line)
        output.typed(inventory(plan_target(file), run, private_key(identity)).rstrip("\n"))


@app.command()
def hosts(file: File = None) -> None:
    """Print the guests' addresses as lines of /etc/hosts.

    Example: vmnet export hosts -f lab.yaml
    """
    with running(command.EXPORT) as worker:
        from provisioner.commands.access.export import hosts as lines

        run = CommandRun(command.EXPORT, worker, tell=output.line)
        output.typed(lines(plan_target(file), run).rstrip("\n"))


@app.command()
def graph(
    file: File = None,
    *,
    form: Annotated[GraphFormat, typer.Option("--format", help="What it is written as.")] = (
        GraphFormat.DOT
    ),
    report: Annotated[
        Path | None,
        typer.Option(help="A file of vmnet check --json: what it has measured is drawn, too."),
    ] = None,
) -> None:
    """Draw a plan: this host, uplinks, networks, modes, guests and their addresses.

    Example: vmnet export graph --format svg -f lab.yaml
    """
    with running(command.EXPORT) as worker:
        from provisioner.commands.access.export import drawn

        run = CommandRun(command.EXPORT, worker, tell=output.line)
        output.typed(drawn(plan_target(file), run, form, report).rstrip("\n"))


@app.command(name="docker-macvlan")
def docker_macvlan(file: File = None, *, network: Network = "", ranges: Ranges = None) -> None:
    """Print a network of Compose: containers on the same wire as the guests, beside them.

    Example: vmnet export docker-macvlan --network lan -f lab.yaml
    """
    with running(command.EXPORT) as worker:
        from provisioner.commands.access.export import beside

        run = CommandRun(command.EXPORT, worker, tell=output.line)
        found = beside(plan_target(file), run, network, ranges or ())
        output.typed(found.as_compose.rstrip("\n"))


@app.command()
def nad(file: File = None, *, network: Network = "", ranges: Ranges = None) -> None:
    """Print a NetworkAttachmentDefinition: pods on the same wire as the guests, by Multus.

    Example: vmnet export nad --network lan -f lab.yaml
    """
    with running(command.EXPORT) as worker:
        from provisioner.commands.access.export import beside

        run = CommandRun(command.EXPORT, worker, tell=output.line)
        found = beside(plan_target(file), run, network, ranges or ())
        output.typed(found.as_attachment.rstrip("\n"))


@app.command()
def libvirt(file: File = None, *, network: Network = "") -> None:
    """Print the XML of a network of libvirt's: domains that are no guests, on the same wire.

    Example: vmnet export libvirt --network lan -f lab.yaml
    """
    with running(command.EXPORT):
        from provisioner.commands.access.export import of_libvirt

        output.typed(of_libvirt(plan_target(file), network).rstrip("\n"))


@app.command()
def networkd(
    vm: Vm = "",
    file: File = None,
    *,
    folder: Annotated[
        Path | None, typer.Option("--output", help="Write the files into this folder.")
    ] = None,
) -> None:
    """Print the files of systemd-networkd for a VM's NICs, for guests without cloud-init.

    Example: vmnet export networkd web -f lab.yaml --output /etc/systemd/network
    """
    with running(command.EXPORT) as worker:
        from provisioner.commands.access.export import of_networkd
        from provisioner.host.system import whole_files

        run = CommandRun(command.EXPORT, worker, tell=output.line)
        for name, text in of_networkd(plan_target(file), run, vm).items():
            if folder:
                whole_files.write_report(folder / name, text)
            else:
                output.typed(f"# {name}\n{text}")


@app.command()
def kubevirt(file: File = None, *, images: Images = None, without: Without = None) -> None:
    """Print a plan's VMs for KubeVirt: VirtualMachines on macvtaps, with their disks and networks.

    Example: vmnet export kubevirt --without spoof_guard -f lab.yaml
    """
    with running(command.EXPORT):
        from provisioner.commands.access.engines import EngineWish, for_kubevirt

        wish = EngineWish(images or (), without or ())
        output.typed(for_kubevirt(placed_target(file), wish).rstrip("\n"))


@app.command()
def incus(
    file: File = None,
    *,
    images: Images = None,
    without: Without = None,
    pool: Annotated[
        str, typer.Option(metavar="NAME", help="The storage pool of the disks.")
    ] = "default",
    folder: Annotated[
        Path | None, typer.Option("--output", help="Write the files into this folder.")
    ] = None,
) -> None:
    """Print a plan's VMs for Incus: a profile, and instances with macvlan NICs.

    Example: vmnet export incus --image debian-12=images:debian/12/cloud --without spoof_guard
    """
    with running(command.EXPORT):
        from provisioner.commands.access.engines import EngineWish, for_incus
        from provisioner.host.system import whole_files

        wish = EngineWish(images or (), without or ())
        for name, text in for_incus(placed_target(file), wish, pool).items():
            if folder:
                whole_files.write_secret(folder / name, text.encode())
            else:
                output.typed(f"# {name}\n{text}")
