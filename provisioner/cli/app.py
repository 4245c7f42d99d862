"""The command line of vmnet: builds the command that is named, or the list of all."""

import importlib
import os
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from provisioner import __version__
from provisioner.cli.completion import index

COMMANDS: Final = {
    "watch": "boot.watch",
    "check": "check.check",
    "doctor": "doctor.doctor",
    "explain": "explain.explain",
    "ip": "access.ip.ip",
    "ssh": "access.ssh.ssh",
    "cp": "access.ssh.cp",
    "exec": "access.console.exec_",
    "console": "access.console.console",
    "logs": "access.console.logs",
    "modes": "modes.modes",
    "link": "access.link.link",
    "capture": "access.link.capture",
    "up": "lifecycle.up",
    "down": "lifecycle.down",
    "stop": "power.stop",
    "start": "power.start",
    "restart": "power.restart",
    "pause": "power.pause",
    "resume": "power.resume",
    "status": "lifecycle.status",
    "plan": "lifecycle.plan_",
    "render": "lifecycle.render",
    "ls": "inventory.ls",
    "gc": "inventory.gc",
    "extend": "inventory.extend",
    "adopt": "inventory.adopt",
    "init": "plan_file.init.init",
    "validate": "plan_file.validate.validate",
    "image": "image.app",
    "net": "net.app",
    "snapshot": "snapshot.app",
    "boot": "boot.app",
    "export": "access.ssh.export",
    "schema": "plan_file.schema.app",
}
"""Where each command, or group of commands, is in provisioner.cli."""
_TAKE_ARGV: Final = ("exec", "explain")


class _Listing(TyperGroup):
    """All commands by name and help alone, for what names them and runs none."""

    def __init__(self, **words: Any) -> None:  # noqa: ANN401
        super().__init__(**words)
        entries = index.read()
        self.commands = {name: TyperCommand(name, help=entries[name]["help"]) for name in COMMANDS}


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"vmnet {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def built(names: Iterable[str] = COMMANDS, group: type[TyperGroup] = TyperGroup) -> typer.Typer:
    """Return the command line with the commands of these names."""
    app = typer.Typer(
        cls=group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Boot networked VMs on macvtap devices, and prove who reaches whom.",
    )
    app.callback()(_root)
    for name in names:
        module, _, attribute = COMMANDS[name].rpartition(".")
        found = getattr(importlib.import_module(f"provisioner.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            settings = {"ignore_unknown_options": True} if name in _TAKE_ARGV else None
            app.command(name=name, context_settings=settings)(found)
    return app


def run(argv: Sequence[str], worker: object) -> None:
    """Run a command line, with no command imported but the one that it names."""
    named = [word for word in argv[:2] if word != "--"][:1]
    if named and named[0] in COMMANDS:
        built(named)(obj=worker)
    elif "_VMNET_COMPLETE" in os.environ:  # of a shell that completion/answer.py does not know
        built()()
    else:
        built((), _Listing)()
