"""How a command is run: its plan loaded, its errors turned into answers and exit statuses."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from provisioner.cli import output
from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.host.system import children
from provisioner.signals import obeyed

if TYPE_CHECKING:
    from provisioner.commands.target import Options, Target
    from provisioner.host.system.worker import Worker
    from provisioner.reachability.switch_probe import Question
    from provisioner.report.report import Report


Connection = Annotated[
    str | None,
    typer.Option(
        "--connection",
        envvar="VMNET_CONNECTION",
        help="Where libvirt is, instead of what the plan says.",
        metavar="URI",
    ),
]
AllowFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow-file",
        help="A file or folder outside the plan's folder that it may name. Repeatable.",
    ),
]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a plan cannot allow itself: another libvirt, and files from outside its folder."""

    connection: str | None = None
    files: list[Path] | None = None


def options(
    command: str,
    timeout_s: float,
    lock_timeout_s: float,
    *,
    recreate: bool = False,
    pairs: str = "all",
    wide: bool = False,
) -> "Options":
    """Put together what the command line says of how to go about it."""
    from provisioner.commands.target import Options

    return Options(command, timeout_s, lock_timeout_s, recreate, pairs, output.warm_up, wide)


def worker_of(ctx: typer.Context) -> "Worker":
    """Give the worker that was forked before anything else (see __main__)."""
    worker: Worker = ctx.obj
    return worker


def path_of(plan: Path | None, file: Path | None) -> Path:
    """Say which file is the plan."""
    return file or plan or Path("vmnet.yaml")


def target(
    plan: Path | None,
    file: Path | None,
    sets: list[str] | None,
    *,
    name: str | None = None,
    text: str | None = None,
    allowed: Allowed = Allowed(),
) -> "Target":
    """Load the plan. Raises Complaints, all at once, or VmnetError when there is no file."""
    from provisioner.commands.target import Target
    from provisioner.plan import scalars
    from provisioner.plan.load import loader

    option = "--name"
    try:
        known = scalars.plan_name(name) if name else ""
        option = "--connection"
        uri = scalars.uri(allowed.connection) if allowed.connection else ""
    except scalars.BadValue as bad:
        raise VmnetError(f"{option}: {bad.what}", fix=bad.fix, status=Exit.BAD_INPUT) from bad
    if known:
        return Target(known, uri=uri)
    path = path_of(plan, file)
    told = "the command line" if text else str(path)
    loaded = loader.load(text or read(path), told, sets or ())
    folder = Path.cwd() if text else path.absolute().parent
    files = tuple(one.resolve() for one in allowed.files or ())
    return Target(loaded.plan.name, loaded, folder, uri, files)


def read(path: Path) -> str:
    """Give a plan's text."""
    from provisioner.host.system.plan_files import read

    return read(path)


def oneshot_text(uplink: str, mode: str, image: str, count: int, subnet: str) -> str:
    """Give the plan that options of the command line stand for."""
    from provisioner.plan.load.oneshot import plan_text

    return plan_text(uplink, mode, image, count, subnet)


def reporting(
    ctx: typer.Context,
    command: str,
    load: "Callable[[], Target]",
    how: "Options",
    *,
    json: bool,
) -> None:
    """Run a command that ends with a report, and end with the report's status."""

    def work() -> NoReturn:
        from provisioner.commands import status, up
        from provisioner.report.report import as_json

        about = load()
        with output.progress(how.command) as tell:
            commands = (up.up, up.down, up.plan, up.check, status.status)
            run: Callable[..., Report] = {run.__name__: run for run in commands}[command]
            report = run(about, how, worker_of(ctx), tell)
        if json:
            typer.echo(as_json(report))
        else:
            output.show(report)
        raise typer.Exit(report.status)

    answering(command, work, json=json, worker=ctx.obj)


_GOES_ON = (
    "interrupted: what was begun is finished; vmnet up goes on from here, vmnet down takes it away"
)


_AT_ONCE = (
    "interrupted again: ended at once; the steps that were under way may be half done: "
    "vmnet up goes on from there, vmnet down takes it away"
)


def answering(
    command: str,
    work: Callable[[], Any],
    *,
    json: bool = False,
    worker: "Worker | None" = None,
    interrupted: str = _GOES_ON,
) -> None:
    """Run `work` and turn whatever the user can act on into an answer and an exit status.

    `interrupted` is what is said after a Ctrl-C: how things then stand. A second one ends vmnet
    at once, whatever it waits for.
    """
    with obeyed(lambda: _end_at_once(worker)):
        _answered(command, work, json=json, worker=worker, interrupted=interrupted)


def _answered(
    command: str,
    work: Callable[[], Any],
    *,
    json: bool,
    worker: "Worker | None",
    interrupted: str,
) -> None:
    try:
        work()
    except Complaints as complaints:
        output.errors(command, complaints.errors, complaints.status, json=json)
        raise typer.Exit(complaints.status) from None
    except KeyboardInterrupt:
        output.line(interrupted)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has gone: end quietly, as a shell's own SIGPIPE would.
        output.close_quietly()
        raise typer.Exit(128 + signal.SIGPIPE) from None
    except (VmnetError, OSError) as error:
        found = _told(error)
        output.errors(command, [found], found.status, json=json)
        raise typer.Exit(found.status) from None
    finally:
        if worker:
            worker.close()


def _told(error: VmnetError | OSError) -> VmnetError:
    """Return what the user can act on: an OSError must name a file. Raises any other one again."""
    from provisioner.host.system import file_errors

    if isinstance(error, VmnetError):
        return error
    if error.filename is None and file_errors.fix_of(error.errno, Path()) == "":
        raise error
    return file_errors.told(error, "cannot use", Path(str(error.filename or ".")))


def agreed(asked: "Question", *, yes: bool) -> None:
    """Say what will be sent, and go on only when the user agrees. Raises VmnetError otherwise."""
    output.line("\n".join(["this will be sent:", *(f"  * {line}" for line in asked.to_send)]))
    if asked.untestable:
        output.line(f"foreign MACs cannot be tested: {asked.untestable}")
    if not yes:
        _consent()


def _consent() -> None:
    if not sys.stdin.isatty():
        raise VmnetError(
            "nothing has been sent: there is no terminal to ask on",
            fix="if these frames may be sent, say so with --yes",
            status=Exit.BAD_INPUT,
        )
    if not typer.confirm("Send them?", err=True):
        raise VmnetError("nothing has been sent", fix="answer y", status=Exit.INTERRUPTED)


def _end_at_once(worker: "Worker | None") -> NoReturn:
    """End vmnet and all that it has started but the guests, waiting for nothing."""
    output.last_line(_AT_ONCE)
    reaper = worker.kill() if worker else 0
    children.kill_programs(pid for pid in children.of(os.getpid()) if pid != reaper)
    os._exit(Exit.INTERRUPTED)
