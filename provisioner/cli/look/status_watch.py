"""vmnet status --watch: a table that stays, and each change on a line above it."""

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from provisioner.cli import output
from provisioner.cli.help.screen import SCREEN
from provisioner.cli.run import status_of
from provisioner.errors import Exit
from provisioner.report import live_table
from provisioner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from provisioner.commands.lifecycle.status_watch import StatusLook
    from provisioner.commands.target import NameTarget, PlanTarget

    Tell = Callable[[str], None]
    Draw = Callable[[StatusLook], None]

_LONG = 2000  # characters of a line


def watch(
    words: list[str], every: float, target: "PlanTarget | NameTarget", *, json: bool
) -> NoReturn:
    """Show each change, until somebody interrupts it: a block of lines, or a document on a line.

    On a terminal the VMs stand below it in a table, as they are.
    """
    from provisioner.commands.lifecycle import status_watch

    before: StatusLook | None = None
    try:
        with (
            status_watch.Signals(target.name, target.connection) as signals,
            _screen(json=json) as (tell, draw),
        ):
            for look in status_watch.looks(words, every, signals):
                if json and (before is None or look.told != before.told):
                    tell(look.document)
                for line in () if json else status_watch.changes(before, look):
                    tell(one_line(line, _LONG))
                draw(look)
                before = look
    except KeyboardInterrupt as interrupt:
        output.line("no more watching")
        raise typer.Exit(status_of(interrupt)) from None
    raise typer.Exit(Exit.INTERRUPTED)


@contextmanager
def _screen(
    *, json: bool
) -> "Iterator[tuple[Callable[[str], None], Callable[[StatusLook], None]]]":
    """Yield what prints a line, and what draws the table of a look: on a terminal, below the lines.

    `--no-progress` is without it.
    """
    if json or not SCREEN.progress or not sys.stdout.isatty():
        yield output.typed_now, lambda _look: None
        return
    from rich.live import Live
    from rich.text import Text

    console = SCREEN.console(sys.stdout)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        yield (
            lambda line: console.print(Text(line), soft_wrap=True),
            lambda look: live.update(_drawn(look.report, look.at), refresh=True),
        )


def _drawn(report: "dict[str, Any]", at: str) -> "RenderableType":
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    titles, *rows = live_table.rows(report)
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        made.add_column(Text(title))
    for row in rows:
        style = "" if row[1] == live_table.RUNNING else "yellow"
        made.add_row(*map(Text, row), style=style)
    return Group(made, Text(f"{live_table.summary(report)}; seen at {at}, Ctrl-C ends"))
