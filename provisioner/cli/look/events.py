"""vmnet events: what happens to a plan, a line each."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import Connection, File, Json, MadeName, Plan, Sets
from provisioner.cli.run import file_words, known_target, plan_paths, rereadable, running
from provisioner.commands import command
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.check.happenings import Happening

_LONG = 2000  # characters of a line


def events(  # noqa: PLR0913  (every one a word of the command line)
    plan: Plan = None,
    file: File = None,
    sets: Sets = None,
    *,
    name: MadeName = None,
    until_stopped: Annotated[
        bool, typer.Option("--until-stopped", help="End when no VM of the plan runs.")
    ] = False,
    seconds: Annotated[
        float, typer.Option("--for", help="End after so many seconds.", min=0, metavar="SECONDS")
    ] = 0.0,
    connection: Connection = None,
    json: Json = False,
) -> None:
    """Tell what happens to a plan's links, guests and agents, until Ctrl-C; with --json as data.

    Example: vmnet events --json --until-stopped
    """
    with running(command.EVENTS, json=json, interrupted="no more events"):
        from provisioner.commands.lifecycle import events as happened

        paths = () if name else rereadable(plan_paths(file, plan))
        words = ["--name", name] if name else file_words(paths)
        words += [word for one in sets or () for word in ("--set", one)]
        words += ["--connection", connection] if connection else []
        target = known_target(name, paths, sets, connection=connection)
        wish = happened.EventWish(seconds, until_stopped)
        for one in happened.events(target, words, wish):
            output.typed_now(_line(target.name, one, json=json))


def _line(plan: str, happening: "Happening", *, json: bool) -> str:
    now = time.time()
    if json:
        from provisioner.commands.lifecycle.events import document
        from provisioner.json_document import json_line

        return json_line("events", document(plan, happening, now))
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    return f"{clock} {happening.source}: {one_line(str(happening), _LONG)}"
