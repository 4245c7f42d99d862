"""vmnet export: a plan written down for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.access.ssh import private_key
from provisioner.cli.options import File, Identity
from provisioner.cli.run import plan_target, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun

app = typer.Typer(no_args_is_help=True, help="Write a plan down for other programs.")


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
