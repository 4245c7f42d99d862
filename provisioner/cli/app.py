"""The words: arguments in; lines, tables, JSON and an exit status out."""

from pathlib import Path
from typing import Annotated

import typer

from provisioner import __version__
from provisioner.cli import access, check, doctor, explain, image, ip, link, modes, net
from provisioner.cli.run import (
    Allowed,
    AllowFile,
    Connection,
    answering,
    oneshot_text,
    options,
    path_of,
    read,
    reporting,
    target,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Boot networked VMs on macvtap devices, and prove who reaches whom.",
)
app.add_typer(image.app, name="image")
app.add_typer(net.app, name="net")
app.command()(check.check)
app.command()(doctor.doctor)
app.command(context_settings={"ignore_unknown_options": True})(explain.explain)
app.command()(ip.ip)
app.command()(access.ssh)
app.command()(access.cp)
app.command(name="exec", context_settings={"ignore_unknown_options": True})(access.exec_)
app.command()(access.console)
app.command()(access.logs)
app.add_typer(access.exports, name="export")
app.command()(modes.modes)
app.command()(link.link)
app.command()(link.capture)

File = Annotated[Path | None, typer.Argument(help="The plan.", show_default="vmnet.yaml")]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="The plan.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a value: networks.lan.mode=vepa. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Write the report as JSON on standard output.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds from the first step to the end.",
        min=1,
        show_default="120 for the guests; 600 with cloud-init",
    ),
]
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
    subnet: Annotated[
        str, typer.Option(help='Without a plan: where addresses come from; or "dhcp".')
    ] = "169.254.77.0/24",
    print_plan: Annotated[
        bool, typer.Option("--print-plan", help="Print the plan that the options stand for.")
    ] = False,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Restart VMs whose change needs it.")
    ] = False,
    timeout: Timeout = None,
    connection: Connection = None,
    allow_file: AllowFile = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Bring a plan up, and measure that it holds."""
    made = oneshot_text(uplink, mode, image, count, subnet) if uplink else None
    if print_plan:
        typer.echo(made or read(path_of(plan, file)), nl=False)
        return
    reporting(
        ctx,
        "up",
        lambda: target(plan, file, sets, text=made, allowed=Allowed(connection, allow_file)),
        options("up", timeout or 0, lock_timeout, recreate=recreate),
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
    connection: Connection = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Take away everything that vmnet made for a plan."""
    reporting(
        ctx,
        "down",
        lambda: target(plan, file, sets, name=name, allowed=Allowed(connection)),
        options("down", 0, lock_timeout),
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
    wide: Annotated[
        bool, typer.Option("--wide", help="Ask the guests too: name, OS, addresses, load, disks.")
    ] = False,
    connection: Connection = None,
    allow_file: AllowFile = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Say what is there, and what `up` would do."""
    reporting(
        ctx,
        "status",
        lambda: target(plan, file, sets, name=name, allowed=Allowed(connection, allow_file)),
        options("status", 0, lock_timeout, wide=wide),
        json=json,
    )


@app.command(name="plan")
def plan_(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: File = None,
    file: FileOption = None,
    sets: Sets = None,
    *,
    connection: Connection = None,
    allow_file: AllowFile = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Say what `up` would do; touch nothing."""
    reporting(
        ctx,
        "plan",
        lambda: target(plan, file, sets, allowed=Allowed(connection, allow_file)),
        options("plan", 0, lock_timeout),
        json=json,
    )


@app.command()
def render(
    vm: VmName = "",
    file: FileOption = None,
    sets: Sets = None,
    allow_file: AllowFile = None,
) -> None:
    """Print the libvirt XML of a VM."""

    def work() -> None:
        from provisioner.commands import status

        typer.echo(
            status.render(target(None, file, sets, allowed=Allowed(files=allow_file)), vm), nl=False
        )

    answering("render", work)
