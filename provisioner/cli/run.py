"""How a command is run: its plan loaded, its errors turned into messages and exit statuses."""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import typer

from provisioner.cli import output
from provisioner.cli.help.screen import SCREEN
from provisioner.cli.options import FILE_VARIABLE
from provisioner.errors import Complaints, Exit, VmnetError, bad_input
from provisioner.host.system import processes
from provisioner.signals import Interrupt, handled
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.command import Command
    from provisioner.commands.target import CommandRun, NameTarget, PlanTarget
    from provisioner.host.system.worker import Worker
    from provisioner.reachability.switch_probe import SwitchProbe
    from provisioner.report.report import Report

_T = TypeVar("_T")
_D = TypeVar("_D")

_INPUT: Final = Path("-")
_IS_UP: Final = (Exit.DONE, Exit.CHECK_FAILED, Exit.PARTLY_DONE)

_GOES_ON = (
    "interrupted: what was begun is finished; vmnet up goes on from here, vmnet down takes it away"
)
_AT_ONCE = (
    "interrupted again: ended at once; the steps that were under way may be half done: "
    "vmnet up goes on from there, vmnet down takes it away"
)


@contextmanager
def running(
    command: "Command | str",
    ctx: typer.Context | None = None,
    *,
    json: bool = False,
    interrupted: str = _GOES_ON,
) -> Iterator["Worker"]:
    """Run a command's work, and turn whatever the user can act on into a message and a status.

    Yields the worker that was forked before anything else (see __main__), of a command that has
    one, and ends it. `interrupted` is the message after a Ctrl-C: how things then stand. A second
    one ends vmnet at once, whatever it waits for.
    """
    worker: Any = ctx and ctx.obj
    with handled(lambda number: _end_at_once(worker, number)):
        try:
            yield worker
        except Complaints as complaints:
            output.errors(str(command), complaints.errors, complaints.status, json=json)
            raise typer.Exit(complaints.status) from None
        except KeyboardInterrupt as interrupt:
            output.line(interrupted)
            raise typer.Exit(status_of(interrupt)) from None
        except BrokenPipeError:
            # Whoever read our output has gone: end quietly, as a shell's own SIGPIPE would.
            output.close_quietly()
            raise typer.Exit(128 + signal.SIGPIPE) from None
        except (VmnetError, OSError) as error:
            from provisioner.cli.help import known_plans
            from provisioner.host.system import file_errors, plan_files

            found = file_errors.actionable(error)
            if isinstance(error, plan_files.NoPlanError):
                found = known_plans.helped(error, str(command))
            output.errors(str(command), [found], found.status, json=json)
            raise typer.Exit(found.status) from None
        finally:
            if worker:
                worker.close()


def reported(
    command: "Callable[[_T, CommandRun], Report]", target: _T, run: "CommandRun"
) -> "Report":
    """Run a command and show the lines of its progress; return its report."""
    with output.progress(run.command.name) as (tell, count):
        return command(target, replace(run, tell=tell, count=count, timed=SCREEN.timed))


def is_implied(file: Sequence[Path]) -> bool:
    """Return whether the environment, and no option, names these plans."""
    implied = os.environ.get(FILE_VARIABLE, "").split(os.pathsep)
    return list(file) == [Path(name) for name in implied]


def end(
    report: "Report",
    *,
    json: bool,
    steps: bool = False,
    every: bool = False,
    exit_code: bool = False,
    next_line: str = "",
) -> NoReturn:
    """Show the report of a command, and end with its status; `next_line` says how to go on.

    `exit_code`: that is CHECK_FAILED when all went well and there is something to do.
    """
    if exit_code and report.to_do and report.status is Exit.DONE:
        report = replace(report, status=Exit.CHECK_FAILED)
    if json:
        from provisioner.report.document import as_json

        typer.echo(as_json(report))
    else:
        output.show(report, steps=steps, every=every)
        if next_line and report.status in _IS_UP and not SCREEN.quiet:
            output.line(next_line)
    raise typer.Exit(report.status)


def plan_paths(file: Sequence[Path] | None, plan: Path | None = None) -> tuple[Path, ...]:
    """Return the plans that a command line names, as `--file` and as a word of their own.

    Without any that is vmnet.yaml or vmnet.yml. Raises VmnetError where it is not plain which:
    only of files that the environment names (typer does not tell) a word of its own is taken first.
    """
    from provisioner.host.system import plan_files

    if plan and is_implied(file or ()):
        file = None
    if file and plan:
        raise bad_input(
            f"{plan} and --file {file[0]} both name the plan",
            "leave one out, or merge them: name each with --file, what changes the others last",
        )
    paths = (plan,) if plan else tuple(file or ())
    if paths.count(_INPUT) > 1:
        raise bad_input("standard input is named twice", "name it once: it can be read once")
    return paths or (plan_files.usual(),)


def rereadable(paths: Sequence[Path]) -> Sequence[Path]:
    """Return the plans again. Raises VmnetError if one of them can be read once only."""
    if _INPUT in paths:
        raise bad_input(
            "the plan is read again and again here, and standard input can be read once",
            "store the plan in a file, and name that",
        )
    return paths


def file_words(paths: Iterable[Path]) -> list[str]:
    """Return the words that name these plans on another command line."""
    return [word for path in paths for word in ("--file", str(path))]


def plan_target(  # noqa: PLR0913  (what a command line says of a plan)
    paths: Sequence[Path] | None,
    sets: list[str] | None = None,
    *,
    text: str | None = None,
    connection: str | None = None,
    allow_file: list[Path] | None = None,
    folder: Path | None = None,
    several: bool = False,
) -> "PlanTarget":
    """Load the plan in files that are merged, or in `text` when the command line stands for one.

    The first file names the folder that the plan's relative paths begin at.
    `connection` and `allow_file` are what a plan cannot allow itself: another libvirt, and files
    from outside its folder, which is `folder` where the plan was stored elsewhere. Raises
    Complaints, all at once, or VmnetError when there is no file, or, unless the command knows of
    `several`, it is of several hosts.
    """
    from provisioner.commands.loading import texts

    uri = _uri(connection)
    files = () if text else plan_paths(paths)
    written = [("the command line", text)] if text else read(files)
    first = None if text or files[0] == _INPUT else files[0]
    load = texts.placed if several else texts.loaded
    return load(
        *(written, sets or (), first),
        uri=uri,
        folder=folder,
        allowed=allow_file or (),
    )


def placed_target(paths: Sequence[Path] | None) -> "PlanTarget":
    """Load the plan in files, which may be of several hosts, for a command that touches none.

    Raises Complaints, all at once, or VmnetError when there is no file.
    """
    from provisioner.commands.loading import texts

    files = plan_paths(paths)
    return texts.placed(read(files), (), None if files[0] == _INPUT else files[0])


def tell_inherited(target: "PlanTarget") -> None:
    """Show which defaults are not the plan's, and where they stand."""
    for key, where in target.inherited.items():
        output.line(one_line(f"default {key}: from {where}", 4200))


def name_target(name: str, connection: str | None) -> "NameTarget":
    """Return a plan without its file. Raises VmnetError when the name cannot be one."""
    from provisioner.commands.target import NameTarget
    from provisioner.plan import scalars

    return NameTarget(option_value("--name", scalars.plan_name, name), _uri(connection))


def known_target(
    name: str | None,
    paths: Sequence[Path] | None,
    sets: list[str] | None = None,
    *,
    connection: str | None = None,
    several: bool = False,
) -> "PlanTarget":
    """Load a plan of files, or by its name where `vmnet up --uplink` has made it.

    Raises Complaints and VmnetError as `plan_target` does, and when the name says too little.
    """
    if not name:
        return plan_target(paths, sets, connection=connection, several=several)
    from provisioner.host.system import paths as places
    from provisioner.host.system import plan_marks
    from provisioner.plan.load import oneshot

    plan = name_target(name, connection).name
    mark = plan_marks.read(places.home(plan))
    if text := mark and mark.plan == plan and oneshot.text_of(mark.words):
        return plan_target((), sets, text=text, connection=connection or mark.connection or None)
    where = f"name its file: --file {shlex.quote(mark.file)}" if mark and mark.file else ""
    raise bad_input(
        f"the name {plan} alone does not say what the plan is",
        where or "name its file with --file, or see which plans there are: vmnet ls",
    )


def marked_target(
    name: str | None,
    paths: Sequence[Path] | None,
    *,
    connection: str | None = None,
    several: bool = False,
) -> "PlanTarget | NameTarget":
    """Load a plan as `known_target` does, or take its name alone where the host knows the plan.

    For commands that ask the host which guests there are. Raises as `known_target` does.
    """
    from provisioner.host.system import paths as places
    from provisioner.host.system import plan_marks

    if name:
        target = name_target(name, connection)
        mark = plan_marks.read(places.home(target.name))
        if mark and mark.plan == target.name and not mark.words:
            return target
    return known_target(name, paths, connection=connection, several=several)


def option_value(option: str, parse: Callable[[str], _T], text: str) -> _T:
    """Parse one value as a plan's would be. Raises VmnetError that names the option."""
    from provisioner.plan.scalars import BadValue

    try:
        return parse(text)
    except BadValue as bad:
        raise bad_input(f"{option}: {bad.what}", bad.fix) from bad


def optional_value(option: str, parse: Callable[[str], _T], text: str, default: _D) -> _T | _D:
    """Parse a value that may have been left out, in which case it is `default`."""
    return option_value(option, parse, text) if text else default


def _uri(connection: str | None) -> str:
    from provisioner.plan import scalars

    return optional_value("--connection", scalars.uri, connection or "", "")


def read(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Return the name and the text of each file of a plan. Raises VmnetError as plan_files does."""
    from provisioner.host.system import plan_files

    return [
        (plan_files.INPUT, plan_files.read_input())
        if path == _INPUT
        else (str(path), plan_files.read(path))
        for path in paths
    ]


def confirm_probe(probe: "SwitchProbe", *, yes: bool) -> None:
    """Show what will be sent to a switch, and go on only when the user agrees.

    Raises VmnetError otherwise.
    """
    output.line("\n".join(["this will be sent:", *(f"  * {line}" for line in probe.to_send)]))
    if probe.untestable:
        output.line(f"foreign MACs cannot be tested: {probe.untestable}")
    if not yes:
        confirm(
            "Send them?", "nothing has been sent", "if these frames may be sent, say so with --yes"
        )


def confirm(question: str, undone: str, fix: str) -> None:
    """Ask the user. Raises VmnetError when the answer is no, or there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise bad_input(f"{undone}: there is no terminal to ask on", fix)
    if not typer.confirm(question, err=True):
        raise VmnetError(undone, fix="answer y", status=Exit.INTERRUPTED)


def agreement(*, yes: bool) -> Callable[[Sequence[str]], None]:
    """Return what shows the user what will be lost, and raises VmnetError unless that is agreed."""

    def agree(losses: Sequence[str]) -> None:
        output.line("\n".join(losses))
        if not yes:
            confirm(
                "Go on?",
                f"nothing has been changed: {'; '.join(losses)}",
                "if that may be lost, say so with --yes",
            )

    return agree


def status_of(interrupt: KeyboardInterrupt) -> int:
    """Return the exit status after an interrupt: 130 after Ctrl-C, 143 after SIGTERM."""
    return interrupt.status if isinstance(interrupt, Interrupt) else Exit.INTERRUPTED


def _end_at_once(worker: "Worker | None", number: int) -> NoReturn:
    """End vmnet and all that it has started but the guests, waiting for nothing."""
    output.last_line(_AT_ONCE)
    reaper = worker.kill() if worker else 0
    processes.kill_programs(pid for pid in processes.pids_of(os.getpid()) if pid != reaper)
    os._exit(128 + number)
