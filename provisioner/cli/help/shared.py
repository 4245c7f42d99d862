"""The options of all commands about what they show: colours, how far they are, how much."""

import sys
from typing import Annotated, Any

import typer

from provisioner.cli.help.screen import AUTO, COLORS, SCREEN, VARIABLE
from provisioner.errors import bad_input, explain


def _set_color(value: str) -> str:
    if value not in COLORS:
        told = bad_input(
            f'"{value}" is not a choice of colours', "write --color auto, always or never"
        )
        sys.stderr.write(explain(told) + "\n")
        raise typer.Exit(told.status)
    SCREEN.choose(value)
    return value


def _set_progress(*, value: bool) -> bool:
    SCREEN.progress = not value
    return value


def _set_quiet(*, value: bool) -> bool:
    SCREEN.quiet = value
    return value


def _set_verbose(*, value: bool) -> bool:
    SCREEN.timed = value
    return value


def _set_debug(*, value: bool) -> bool:
    SCREEN.debug = value
    return value


def _options(
    *,
    color: Annotated[
        str,
        typer.Option(
            "--color",
            envvar=VARIABLE,
            is_eager=True,
            callback=_set_color,
            metavar=f"[{'|'.join(COLORS)}]",
            help="Colours: where there is a terminal and no NO_COLOR, always, or never.",
        ),
    ] = AUTO,
    no_progress: Annotated[
        bool,
        typer.Option(
            "--no-progress",
            is_eager=True,
            callback=_set_progress,
            help="Do not show how far it is; a log has none of it anyway.",
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            *("--quiet", "-q"),
            is_eager=True,
            callback=_set_quiet,
            help="Of a command on a plan, print failures and the last line alone.",
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            *("--verbose", "-v"),
            is_eager=True,
            callback=_set_verbose,
            help="Say how long each step took.",
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            envvar="VMNET_DEBUG",
            is_eager=True,
            callback=_set_debug,
            help="Show the traceback of a bug of vmnet's own (exit status 1).",
        ),
    ] = False,
) -> None:
    del color, no_progress, quiet, verbose, debug


def options() -> list[Any]:
    """Return these options, which act by themselves: a command gets nothing of them."""
    app = typer.Typer(add_completion=False)
    app.command()(_options)
    command: Any = typer.main.get_command(app)
    for option in command.params:
        option.expose_value = False
    return list(command.params)
