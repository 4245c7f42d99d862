"""What the user sees: lines as things happen, and the report at the end.

Events go to standard error and the report to standard output, so that a pipe gets the report alone.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from provisioner.cli.help.screen import SCREEN
from provisioner.errors import Exit, VmnetError
from provisioner.event_log import LOG
from provisioner.guest import agent_info
from provisioner.report import consoles, layout, matrix, terminal
from provisioner.report.report import counted
from provisioner.text import one_line, sanitize

if TYPE_CHECKING:
    from rich.table import Table

    from provisioner.report.layout import Line
    from provisioner.report.report import Report, VmStatus

_LONG = 2000  # characters of a cell
_GUEST_TITLES = ("hostname", "OS", "kernel", "load", "disks", "says its addresses are")
_STYLES = {"good": "green", "bad": "bold red", "warn": "yellow", "dim": "dim", "head": "bold"}
_MOST_ERRORS = 20  # of a command that are printed; --json has all of them


Count = Callable[[Callable[[], str]], None]
"""Takes a function that returns how far things are, in a few words."""


def warm_up() -> None:
    """Import what takes long, while there is time."""
    import rich.console
    import rich.table  # noqa: F401


def line(text: str) -> None:
    """Print one thing that happened."""
    LOG.write("info", "told", text=text)
    sys.stderr.write(sanitize(text) + "\n")
    sys.stderr.flush()


def last_line(text: str) -> None:
    """Write a line as the last thing of this process, from a signal handler: unbuffered.

    On a terminal the cursor is shown again, which a spinner hides.
    """
    shown = f"\r\x1b[K\x1b[?25h{text}\n" if sys.stderr.isatty() else f"{text}\n"
    with suppress(OSError):
        os.write(2, shown.encode())


@contextmanager
def progress(command: str) -> Iterator[tuple[Callable[[str], None], Count]]:
    """Show what happens: one plain line per event; on a terminal, how far it is below them.

    Yields what prints a line, and what takes a function that returns how far things are: it is
    called again and again, in another thread. Elsewhere than on a terminal it never is.
    """
    if SCREEN.quiet:
        yield lambda _text: None, lambda _counted: None
        return
    if not SCREEN.is_live():
        yield line, lambda _counted: None
        return
    from rich.live import Live
    from rich.markup import escape
    from rich.spinner import Spinner
    from rich.text import Text

    console = SCREEN.console(sys.stderr)
    spinner = Spinner("dots")
    counts: list[Callable[[], str]] = [lambda: "…"]

    def standing() -> Spinner:
        text = one_line(f"{command}: {counts[-1]()}")
        spinner.update(text=Text(text, no_wrap=True, overflow="ellipsis"))
        return spinner

    with Live(get_renderable=standing, console=console, transient=True, refresh_per_second=10):
        yield (
            lambda text: console.print(f"[dim]·[/dim] {escape(sanitize(text))}", soft_wrap=True),
            counts.append,
        )


@contextmanager
def bar(what: str) -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Show how far something is, in bytes done and to do, on a terminal; nothing of it elsewhere.

    Lines that are printed meanwhile go above the bar.
    """
    if not SCREEN.is_live():
        yield line, lambda _done, _all: None
        return
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = SCREEN.console(sys.stderr)
    with Progress(
        TextColumn("{task.description}"), *columns, console=console, transient=True
    ) as shown:
        task = shown.add_task(what, total=None)
        yield (
            lambda text: console.print(escape(sanitize(text)), soft_wrap=True),
            lambda done, to_do: shown.update(task, completed=done, total=to_do or None),
        )


def show(report: "Report", *, steps: bool = False, every: bool = False) -> None:
    """Print a report for people; `steps` are what there is to do, `every` shows all rows."""
    if not SCREEN.quiet:
        _vms(report, every=every)
    if not SCREEN.quiet or report.status is not Exit.DONE:
        _lines(terminal.check(report, _width(), every=every))
    for failure in report.failed:
        errors(report.command, [failure.error], failure.error.status, json=False)
    if not SCREEN.quiet:
        _kept(report)
    summary = report.summary
    if steps:
        for step in () if SCREEN.quiet else report.to_do:
            typed(str(step))
        summary = f"{counted(len(report.to_do), 'step')} to do" if report.to_do else summary
    for text in consoles.shown(report, _width()):
        typed(text)
    took = f" in {report.seconds:.1f} s" if report.seconds else ""
    typed(f"{report.plan}: {summary}{took}")


def _vms(report: "Report", *, every: bool) -> None:
    if report.vms and (every or report.command != "check"):
        rows = [("VM", "state", "pid", "addresses", "taps", "host"), *map(_row, report.vms)]
        print_rows(rows if any(vm.host for vm in report.vms) else [row[:-1] for row in rows])
    if guests := [(vm.name, *agent_info.cells(vm.guest)) for vm in report.vms if vm.guest]:
        print_rows([("VM", *_GUEST_TITLES), *guests])
    _walls(report)


def _walls(report: "Report") -> None:
    for vm in report.vms:
        if vm.walls:
            typed(f"walls of {vm.name}: {vm.walls}")


def _kept(report: "Report") -> None:
    """Print the disks that stay without a guest, and how to remove them."""
    for disk in report.disks:
        typed(f"kept: {disk}")
    if report.disks:
        typed(f"  to remove what is kept: vmnet down --name {report.plan} --disks")


def _width() -> int:
    """Return how many columns standard output has; 0 when it is no terminal."""
    if not sys.stdout.isatty():
        return 0
    from rich.console import Console

    return Console().width


def _lines(found: "Iterable[Line]") -> None:
    """Print lines that fit as they are, in colours on a terminal."""
    for line in found:
        parts = [(_ascii(sanitize(part.text)), _STYLES.get(part.style, "")) for part in line]
        if SCREEN.is_coloured(sys.stdout):
            _in_colours(parts)
        else:
            sys.stdout.write("".join(text for text, _ in parts).rstrip() + "\n")


def _in_colours(parts: "list[tuple[str, str]]") -> None:
    from rich.text import Text

    SCREEN.console(sys.stdout).print(Text.assemble(*parts), soft_wrap=True)


def _ascii(text: str) -> str:
    """Return a text with our own signs as ASCII, if standard output cannot show them."""
    if _shows("".join(matrix.PLAIN)):
        return text
    return "".join(matrix.PLAIN.get(character, character) for character in text)


def typed(text: str) -> None:
    """Write text of the report itself."""
    sys.stdout.write(sanitize(text) + "\n")


def typed_now(text: str) -> None:
    """Write a line of the report as soon as it is known."""
    typed(text)
    sys.stdout.flush()


def errors(command: str, found: Sequence[VmnetError], status: Exit, *, json: bool) -> None:
    """Print what went wrong, where, and the fix."""
    from provisioner.errors import explain

    if json:
        from provisioner.report.document import errors_as_json

        typed(errors_as_json(command, found, status))
        return
    for error in found[:_MOST_ERRORS]:
        sys.stderr.write(explain(error) + "\n")
    if (more := len(found) - _MOST_ERRORS) > 0:
        sys.stderr.write(f"and {more} more: fix the {_MOST_ERRORS} above first\n")
    sys.stderr.flush()


def foreign(data: bytes, out: TextIO) -> None:
    """Pass on what a guest's program wrote: as it is to a pipe, made harmless on a terminal."""
    if out.isatty():
        out.write(sanitize(data.decode("utf-8", "replace")))
    else:
        out.buffer.write(data)
    out.flush()


def close_quietly() -> None:
    """Keep the interpreter from complaining about a pipe that nobody reads any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def table(*titles: str) -> "Table":
    """Return a table to be filled: ruled on a terminal, plain columns elsewhere."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for title in titles:
        made.add_column(Text(sanitize(title)))
    return made


def print_table(made: "Table", width: int) -> None:
    """Print a table, elsewhere than on a terminal at most `width` columns wide."""
    terminal = sys.stdout.isatty()
    console = SCREEN.console(sys.stdout, width=None if terminal else width)
    if terminal:
        console.print(made)
        return
    with console.capture() as captured:
        console.print(made)
    for text in captured.get().splitlines():
        sys.stdout.write(text.rstrip() + "\n")


def print_rows(rows: Sequence[Sequence[str]], most: int = 0) -> None:
    """Print a table of text; the first row are its titles.

    Elsewhere than on a terminal it has at most `most` columns, any number when that is 0.
    """
    cells = [[one_line(cell, _LONG) for cell in row] for row in rows]
    _lines(layout.table(cells, _width() or most))


def _row(vm: "VmStatus") -> tuple[str, ...]:
    pid, addresses, taps = str(vm.pid or ""), " ".join(vm.addresses), " ".join(vm.taps)
    return tuple(map(one_line, (vm.name, vm.state, pid, addresses, taps, vm.host)))


def _shows(symbol: str) -> bool:
    try:
        symbol.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
