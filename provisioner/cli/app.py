"""The command line of vmnet: registers every command."""

from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command_name
from typer.models import CommandInfo

from provisioner import __version__
from provisioner.cli import (
    boot,
    check,
    doctor,
    explain,
    image,
    inventory,
    lifecycle,
    modes,
    net,
    power,
    snapshot,
)
from provisioner.cli.access import console, ip, link, ssh

_TAKES_ARGV = {"ignore_unknown_options": True}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Boot networked VMs on macvtap devices, and prove who reaches whom.",
)
app.add_typer(image.app, name="image")
app.add_typer(net.app, name="net")
app.add_typer(snapshot.app, name="snapshot")
app.add_typer(boot.app, name="boot")
app.command()(boot.watch)
app.command()(check.check)
app.command()(doctor.doctor)
app.command(context_settings=_TAKES_ARGV)(explain.explain)
app.command()(ip.ip)
app.command()(ssh.ssh)
app.command()(ssh.cp)
app.command(name="exec", context_settings=_TAKES_ARGV)(console.exec_)
app.command()(console.console)
app.command()(console.logs)
app.add_typer(ssh.export, name="export")
app.command()(modes.modes)
app.command()(link.link)
app.command()(link.capture)
app.command()(lifecycle.up)
app.command()(lifecycle.down)
app.command()(power.stop)
app.command()(power.start)
app.command()(power.restart)
app.command()(power.pause)
app.command()(power.resume)
app.command()(lifecycle.status)
app.command(name="plan")(lifecycle.plan_)
app.command()(lifecycle.render)
app.command()(inventory.ls)
app.command()(inventory.gc)
app.command()(inventory.extend)
app.command()(inventory.adopt)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"vmnet {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def run(argv: Sequence[str], worker: object) -> None:
    """Run a command line.

    typer builds each command that it knows of before it looks which is meant, which takes longer
    than to read a plan; so it is told of the one that is named, unless none is.
    """
    commands = [x for x in app.registered_commands if _name(x) in argv[:1]]
    groups = [x for x in app.registered_groups if x.name in argv[:1]]
    if commands or groups:
        app.registered_commands, app.registered_groups = commands, groups
    app(obj=worker)


def _name(command: CommandInfo) -> str:
    return command.name or get_command_name(getattr(command.callback, "__name__", ""))
