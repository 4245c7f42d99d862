"""The command line of vmnet: builds the command that is named, or the list of all."""

import importlib
import os
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from provisioner import __version__
from provisioner.cli.completion import index
from provisioner.cli.help.commands import HelpCommand, HelpGroup
from provisioner.cli.help.screen import COLORS, SCREEN, VARIABLE
from provisioner.commands.command import unaliased

PANELS: Final = {
    "Bring up": {
        "init": "plan_file.init.init",
        "validate": "plan_file.validate.validate",
        "up": "lifecycle.up",
        "plan": "lifecycle.plan_",
        "down": "lifecycle.down",
        "stop": "power.stop",
        "start": "power.start",
        "restart": "power.restart",
        "pause": "power.pause",
        "resume": "power.resume",
        "extend": "inventory.extend",
        "move": "moving.move.move",
        "drain": "moving.move.drain",
        "snapshot": "snapshot.app",
    },
    "Look": {
        "status": "lifecycle.status",
        "events": "look.events.events",
        "ls": "inventory.ls",
        "ip": "access.ip.ip",
        "logs": "access.console.logs",
        "render": "lifecycle.render",
        "schema": "plan_file.schema.schema",
    },
    "Get in": {
        "ssh": "access.ssh.ssh",
        "cp": "access.ssh.cp",
        "exec": "access.console.exec_",
        "console": "access.console.console",
        "export": "access.export.app",
    },
    "Prove": {
        "check": "check.check",
        "explain": "explain.explain",
        "modes": "modes.modes",
        "link": "access.link.link",
        "capture": "access.link.capture",
    },
    "Host": {
        "doctor": "doctor.doctor",
        "support": "support.bundle.support",
        "host-facts": "fabric.facts.host_facts",
        "receive": "moving.move.receive",
        "watch": "boot.watch",
        "gc": "inventory.gc",
        "adopt": "inventory.adopt",
        "hosts": "fabric.hosts.app",
        "net": "net.app",
        "boot": "boot.app",
    },
    "Images": {
        "image": "image.app",
    },
}
"""Where each command, or group of commands, is in provisioner.cli; by what people do with it.

Groups stand last, as typer lists them.
"""
COMMANDS: Final = {name: place for panel in PANELS.values() for name, place in panel.items()}
_ON_HOST: Final = ("-H", "--host")
_PANEL_OF: Final = {name: title for title, panel in PANELS.items() for name in panel}
_TAKE_ARGV: Final = ("exec", "explain")


class _Listing(HelpGroup):
    """All commands by name, panel and help alone, for what names them and runs none."""

    def __init__(self, **words: Any) -> None:  # noqa: ANN401
        super().__init__(**words)
        entries = index.read()
        self.commands = {name: _listed(name, entries[name]) for name in COMMANDS}


def _listed(name: str, entry: index.Entry) -> TyperCommand:
    return TyperCommand(name, help=entry["help"], rich_help_panel=entry["panel"])


_HOST_HELP: Final = "Run the command there, by ssh, on the plan that is here; the first word."


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"vmnet {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    host: Annotated[
        str,
        typer.Option("--host", "-H", metavar="USER@HOST", help=_HOST_HELP),
    ] = "",
) -> None:
    del version, host


def built(names: Iterable[str] = COMMANDS, group: type[TyperGroup] = HelpGroup) -> typer.Typer:
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
            for one in found.registered_commands:
                one.cls = HelpCommand
            app.add_typer(found, name=name, cls=HelpGroup, rich_help_panel=_PANEL_OF[name])
        else:
            settings = {"ignore_unknown_options": True} if name in _TAKE_ARGV else None
            app.command(
                name=name,
                cls=HelpCommand,
                context_settings=settings,
                rich_help_panel=_PANEL_OF[name],
            )(found)
    return app


def run(argv: Sequence[str], worker: object) -> None:
    """Run a command line, with no command imported but the one that it names."""
    if argv[:1] and argv[0] in _ON_HOST:
        from provisioner.cli.fabric import one_host

        one_host.run(argv[1:])
    argv = unaliased(argv)
    color = os.environ.get(VARIABLE, "")
    if color in COLORS and not any(word.startswith("--color") for word in argv):
        SCREEN.choose(color)  # --help acts before the option is read
    named = [word for word in argv[:2] if word != "--"][:1]
    if named and named[0] in COMMANDS:
        built(named)(argv, obj=worker)
    elif "_VMNET_COMPLETE" in os.environ:  # of a shell that completion/answer.py does not know
        built()()
    else:
        built((), _Listing)(argv)
