"""The words: arguments in; lines, tables, JSON and an exit status out."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from provisioner import __version__, screen
from provisioner.errors import Complaints, Exit, VmnetError

if TYPE_CHECKING:
    from provisioner.core.report import Report
    from provisioner.flow import Options, Target
    from provisioner.host.worker import Worker

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Boot networked VMs on macvtap devices, and prove who reaches whom.",
)
images = typer.Typer(no_args_is_help=True, help="The images that guests boot from.")
app.add_typer(images, name="image")

T = TypeVar("T")

File = Annotated[Path | None, typer.Argument(help="The plan.", show_default="vmnet.yaml")]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="The plan.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a value: networks.lan.mode=vepa. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Write the report as JSON on standard output.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the guests.", min=1)]
LockTimeout = Annotated[
    float, typer.Option(help="Seconds to wait for another command on the same plan.", min=0)
]
Name = Annotated[
    str | None, typer.Option("--name", help="The plan's name, when there is no file any more.")
]
VmName = Annotated[str, typer.Argument(help="The VM; may be left out when there is one only.")]


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"vmnet {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    del version


@app.command()
def up(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: File = None,
    file: FileOption = None,
    sets: Sets = None,
    *,
    uplink: Annotated[str | None, typer.Option(help="Without a plan: the host's NIC.")] = None,
    mode: Annotated[str, typer.Option(help="Without a plan: the macvtap mode.")] = "bridge",
    image: Annotated[str, typer.Option(help="Without a plan: the image.")] = "micro",
    count: Annotated[int, typer.Option(help="Without a plan: how many VMs.", min=1)] = 1,
    print_plan: Annotated[
        bool, typer.Option("--print-plan", help="Print the plan that the options stand for.")
    ] = False,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Restart VMs whose change needs it.")
    ] = False,
    timeout: Timeout = 120.0,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Bring a plan up, and measure that it holds."""
    made = _plan_text(uplink, mode, image, count) if uplink else None
    if print_plan:
        typer.echo(made or _read(_path(plan, file)), nl=False)
        return
    _reporting(
        ctx,
        "up",
        lambda: _target(plan, file, sets, text=made),
        _options("up", timeout, lock_timeout, recreate=recreate),
        json=json,
    )


@app.command()
def down(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: File = None,
    file: FileOption = None,
    sets: Sets = None,
    *,
    name: Name = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Take away everything that vmnet made for a plan."""
    _reporting(
        ctx,
        "down",
        lambda: _target(plan, file, sets, name=name),
        _options("down", 0, lock_timeout),
        json=json,
    )


@app.command()
def status(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: File = None,
    file: FileOption = None,
    sets: Sets = None,
    *,
    name: Name = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Say what is there, and what `up` would do."""
    _reporting(
        ctx,
        "status",
        lambda: _target(plan, file, sets, name=name),
        _options("status", 0, lock_timeout),
        json=json,
    )


@app.command(name="plan")
def plan_(
    ctx: typer.Context,
    plan: File = None,
    file: FileOption = None,
    sets: Sets = None,
    *,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Say what `up` would do; touch nothing."""
    _reporting(
        ctx,
        "plan",
        lambda: _target(plan, file, sets),
        _options("plan", 0, lock_timeout),
        json=json,
    )


@app.command()
def check(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: File = None,
    file: FileOption = None,
    sets: Sets = None,
    *,
    timeout: Timeout = 120.0,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Measure who reaches whom among the VMs that run."""
    _reporting(
        ctx,
        "check",
        lambda: _target(plan, file, sets),
        _options("check", timeout, lock_timeout),
        json=json,
    )


@app.command()
def render(vm: VmName = "", file: FileOption = None, sets: Sets = None) -> None:
    """Print the libvirt XML of a VM."""

    def work() -> None:
        from provisioner import flow

        typer.echo(flow.render(_target(None, file, sets), vm), nl=False)

    _answering("render", work)


@app.command()
def console(ctx: typer.Context, vm: VmName = "", file: FileOption = None) -> None:
    """Join a VM's console; Ctrl-] leaves it."""

    def work() -> None:
        from provisioner import flow

        options = _options("console", 0, 30)
        flow.console(_target(None, file, None), options, _worker(ctx), screen.line, vm)

    _answering("console", work, worker=ctx.obj)


@app.command()
def logs(
    vm: VmName = "",
    file: FileOption = None,
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines.", min=1)] = 1000,
    qemu: Annotated[bool, typer.Option("--qemu", help="QEMU's own log instead.")] = False,
) -> None:
    """Print what a VM has said on its console."""

    def work() -> None:
        from provisioner import flow

        typer.echo(flow.logs(_target(None, file, None), vm, lines, qemu=qemu))

    _answering("logs", work)


@app.command(name="exec", context_settings={"ignore_unknown_options": True})
def exec_(
    ctx: typer.Context,
    vm: str,
    command: Annotated[list[str], typer.Argument(help="The program and its arguments, after --.")],
    file: FileOption = None,
    timeout: Timeout = 60.0,
) -> None:
    """Run a program inside a VM, through its guest agent; end with its exit status."""

    def work() -> None:
        from provisioner import flow

        options = _options("exec", timeout, 30)
        target = _target(None, file, None)
        ran = flow.execute_in(target, options, _worker(ctx), screen.nothing, vm, command)
        screen.foreign(ran.stdout, sys.stdout)
        screen.foreign(ran.stderr, sys.stderr)
        raise typer.Exit(ran.status)

    _answering("exec", work, worker=ctx.obj)


@images.command()
def build(name: Annotated[str, typer.Argument(help="The image.")] = "micro") -> None:
    """Build an image, unless it is there for this recipe and these packages."""

    def work() -> None:
        from provisioner.host import micro, places

        if name != "micro":
            raise VmnetError(
                f'there is no recipe for an image "{name}"',
                fix='the images that vmnet can build: "micro"',
                status=Exit.BAD_INPUT,
            )
        image = micro.build(places.cache(), screen.line)
        typer.echo(f"{name}: {image.kernel.parent}")

    _answering("image build", work)


def _options(
    command: str, timeout_s: float, lock_timeout_s: float, *, recreate: bool = False
) -> "Options":
    from provisioner.flow import Options

    return Options(command, timeout_s, lock_timeout_s, recreate)


def _worker(ctx: typer.Context) -> "Worker":
    worker: Worker = ctx.obj
    return worker


def _path(plan: Path | None, file: Path | None) -> Path:
    return file or plan or Path("vmnet.yaml")


def _target(
    plan: Path | None,
    file: Path | None,
    sets: list[str] | None,
    *,
    name: str | None = None,
    text: str | None = None,
) -> "Target":
    """Load the plan. Raises Complaints, all at once, or VmnetError when there is no file."""
    from provisioner.core import planfile
    from provisioner.flow import Target

    if name:
        planfile.check_name(name)
        return Target(name)
    path = _path(plan, file)
    told = "the command line" if text else str(path)
    loaded = planfile.load(text or _read(path), told, sets or ())
    return Target(loaded.plan.name, loaded)


def _read(path: Path) -> str:
    from provisioner.host.planfiles import read

    return read(path)


def _plan_text(uplink: str, mode: str, image: str, count: int) -> str:
    from provisioner.core.oneshot import plan_text

    return plan_text(uplink, mode, image, count)


def _reporting(
    ctx: typer.Context,
    command: str,
    load: "Callable[[], Target]",
    options: "Options",
    *,
    json: bool,
) -> None:
    """Run a command that ends with a report, and end with the report's status."""

    def work() -> NoReturn:
        from provisioner import flow
        from provisioner.core.report import as_json

        target = load()
        with screen.progress(options.command) as tell:
            run: Callable[..., Report] = getattr(flow, command)
            report = run(target, options, _worker(ctx), tell)
        if json:
            typer.echo(as_json(report))
        else:
            screen.show(report)
        raise typer.Exit(report.status)

    _answering(command, work, json=json, worker=ctx.obj)


def _answering(
    command: str, work: Callable[[], Any], *, json: bool = False, worker: "Worker | None" = None
) -> None:
    """Run `work` and turn whatever the user can act on into an answer and an exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        work()
    except Complaints as complaints:
        screen.errors(command, complaints.errors, complaints.status, json=json)
        raise typer.Exit(complaints.status) from None
    except VmnetError as error:
        screen.errors(command, [error], error.status, json=json)
        raise typer.Exit(error.status) from None
    except KeyboardInterrupt:
        screen.line(
            "interrupted: what was begun is finished; vmnet up goes on from here, "
            "vmnet down takes it away"
        )
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has gone: end quietly, as a shell's own SIGPIPE would.
        screen.close_quietly()
        raise typer.Exit(128 + signal.SIGPIPE) from None
    finally:
        if worker:
            worker.close()


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
