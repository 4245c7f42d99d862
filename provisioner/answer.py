"""How a command is run: its plan loaded, its errors turned into answers and exit statuses."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from provisioner import screen
from provisioner.errors import Complaints, Exit, VmnetError

if TYPE_CHECKING:
    from provisioner.core.report import Report
    from provisioner.core.switchverdict import Question
    from provisioner.flow import Options, Target
    from provisioner.host.worker import Worker


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
    from provisioner.flow import Options

    return Options(command, timeout_s, lock_timeout_s, recreate, pairs, screen.warm_up, wide)


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
) -> "Target":
    """Load the plan. Raises Complaints, all at once, or VmnetError when there is no file."""
    from provisioner.core import planfile, values
    from provisioner.flow import Target

    if name:
        try:
            return Target(values.plan_name(name))
        except values.BadValue as bad:
            raise VmnetError(f"--name: {bad.what}", fix=bad.fix, status=Exit.BAD_INPUT) from bad
    path = path_of(plan, file)
    told = "the command line" if text else str(path)
    loaded = planfile.load(text or read(path), told, sets or ())
    return Target(loaded.plan.name, loaded, Path.cwd() if text else path.absolute().parent)


def read(path: Path) -> str:
    """Give a plan's text."""
    from provisioner.host.planfiles import read

    return read(path)


def oneshot_text(uplink: str, mode: str, image: str, count: int, subnet: str) -> str:
    """Give the plan that options of the command line stand for."""
    from provisioner.core.oneshot import plan_text

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
        from provisioner import flow
        from provisioner.core.report import as_json

        about = load()
        with screen.progress(how.command) as tell:
            run: Callable[..., Report] = getattr(flow, command)
            report = run(about, how, worker_of(ctx), tell)
        if json:
            typer.echo(as_json(report))
        else:
            screen.show(report)
        raise typer.Exit(report.status)

    answering(command, work, json=json, worker=ctx.obj)


_GOES_ON = (
    "interrupted: what was begun is finished; vmnet up goes on from here, vmnet down takes it away"
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

    `interrupted` is what is said after a Ctrl-C: how things then stand.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    try:
        work()
    except Complaints as complaints:
        screen.errors(command, complaints.errors, complaints.status, json=json)
        raise typer.Exit(complaints.status) from None
    except KeyboardInterrupt:
        screen.line(interrupted)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has gone: end quietly, as a shell's own SIGPIPE would.
        screen.close_quietly()
        raise typer.Exit(128 + signal.SIGPIPE) from None
    except (VmnetError, OSError) as error:
        found = _told(error)
        screen.errors(command, [found], found.status, json=json)
        raise typer.Exit(found.status) from None
    finally:
        if worker:
            worker.close()


def _told(error: VmnetError | OSError) -> VmnetError:
    """Return what the user can act on: an OSError must name a file. Raises any other one again."""
    from provisioner.host import filefaults

    if isinstance(error, VmnetError):
        return error
    if error.filename is None and filefaults.fix_of(error.errno, Path()) == "":
        raise error
    return filefaults.told(error, "cannot use", Path(str(error.filename or ".")))


def agreed(asked: "Question", *, yes: bool) -> None:
    """Say what will be sent, and go on only when the user agrees. Raises VmnetError otherwise."""
    screen.line("\n".join(["this will be sent:", *(f"  * {line}" for line in asked.to_send)]))
    if asked.untestable:
        screen.line(f"foreign MACs cannot be tested: {asked.untestable}")
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


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
