"""vmnet boot: plans, and devices of vmnet net, that come back when the host boots."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import AllowFile, Connection, File, Json, Name, Plan, Sets, Timeout
from provisioner.cli.run import (
    name_target,
    plan_paths,
    plan_target,
    read,
    rereadable,
    running,
)
from provisioner.commands.command import WATCH
from provisioner.errors import Exit, bad_input, refuse
from provisioner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from provisioner.commands.boot.install import BootPlan
    from provisioner.commands.target import PlanTarget

app = typer.Typer(
    no_args_is_help=True, help="Plans that are brought up, and guests ended well, by systemd."
)

_TITLES = ("plan", "unit", "at boot", "now", "watch", "from")
_MOST_XML = 1 << 20

Net = Annotated[bool, typer.Option("--net", help="The devices of vmnet net, instead of a plan.")]


@app.command()
def install(  # noqa: PLR0913  (every one a word of the command line)
    plan: Plan = None,
    file: File = None,
    sets: Sets = None,
    *,
    net: Net = False,
    now: Annotated[bool, typer.Option("--now", help="Start its unit now, too.")] = False,
    timeout: Timeout = None,
    connection: Connection = None,
    allow_file: AllowFile = None,
    json: Json = False,
) -> None:
    """Bring a plan up at each boot, and end its guests well at each shutdown.

    Example: vmnet boot install lab.yaml --now
    """
    with running("boot install", json=json):
        from provisioner.commands.boot import install as boot

        if net:
            _refuse_plan(plan or file)
            _install_net()
            return
        path = _one_file(plan_paths(file, plan))
        target = plan_target([path], sets, connection=connection, allow_file=allow_file)
        _refuse_variables(target)
        _refuse_own_defaults(target)
        changes = [word for one in sets or () for word in ("--set", one)]
        options = [*changes]
        options += [word for one in target.allowed for word in ("--allow-file", str(one))]
        options += ["--timeout", f"{timeout:g}"] if timeout else []
        ((_, text),) = read([path])
        found = boot.install(target, text, path.absolute(), options, output.line, changes)
        if now:
            boot.start(target.name)
        _print("boot install", [found], json=json)


@app.command()
def remove(
    plan: Plan = None,
    file: File = None,
    *,
    name: Name = None,
    net: Net = False,
) -> None:
    """Bring a plan up at boot no more; it stays as it is now, up or down.

    Example: vmnet boot remove --name lab
    """
    with running("boot remove"):
        from provisioner.commands.boot import install as boot

        if net:
            _refuse_plan(plan or file or name)
            gone = boot.remove_net(output.line)
        else:
            target = name_target(name, None) if name else plan_target(plan_paths(file, plan))
            gone = boot.remove(target.name, output.line)
        output.typed("done" if gone else "nothing to do")


@app.command()
def status(plan: Plan = None, *, json: Json = False) -> None:
    """Show which plans are brought up at boot, and whether their files have changed since.

    Example: vmnet boot status
    """
    with running("boot status", json=json):
        from provisioner.commands.boot import install as boot

        found = boot.status()
        if plan:
            name = plan_target([plan]).name
            found = [one for one in found if one.name == name]
        _print("boot status", found, json=json)


@app.command(hidden=True)
def devices(
    domain: Annotated[str, typer.Argument(help="The domain that libvirt is about to start.")],
) -> None:
    """Make the macvtaps of a domain whose XML is on standard input: for libvirt's hook."""
    with running("boot devices"):
        from provisioner.commands.boot import devices as boot

        del domain
        xml = sys.stdin.read(_MOST_XML + 1)
        if path := boot.stored_plan(xml):
            boot.ensure(plan_target([path]), xml, output.line)


def watch(plan: Plan = None, file: File = None, sets: Sets = None) -> None:
    """Put back guards, NAT and isolation as soon as a reload of the firewall takes them away.

    Example: vmnet watch lab.yaml
    """
    with running(WATCH, interrupted="no more watching"):
        from provisioner.commands.boot.watch import watch

        paths = rereadable(plan_paths(file, plan))
        for line in watch(lambda: plan_target(paths, sets), paths):
            output.typed_now(one_line(line, 2000))


def _install_net() -> None:
    from provisioner.commands import net
    from provisioner.commands.boot import install as boot
    from provisioner.network.standalone import saved

    found = net.listed()
    if not found:
        raise bad_input(
            "there is no device of vmnet net that could come back",
            "make some first: vmnet net create --uplink eno1 --mode bridge",
        )
    boot.install_net(saved.as_json(found), [one.uplink for one in found], output.line)
    output.typed(f"{len(found)} {'device comes' if len(found) == 1 else 'devices come'} back")


def _one_file(paths: "Sequence[Path]") -> "Path":
    """Return the one file that a plan is in. Raises VmnetError when it is in several, or in none.

    It is stored as it is written, and compared with its file later.
    """
    if len(paths) > 1 or str(paths[0]) == "-":
        raise bad_input(
            "a plan that is brought up at boot is one file",
            "write it into one, and install that: vmnet up --print-plan",
        )
    return paths[0]


def _refuse_variables(target: "PlanTarget") -> None:
    """Raise Complaints about variables that have a value now and have none at boot."""
    refuse(
        [
            bad_input(
                f"the variable {name} is set now, and is not set when the host boots",
                "write its value out",
            ).at(where)
            for name, where in target.variables.items()
        ]
    )


def _refuse_own_defaults(target: "PlanTarget") -> None:
    """Raise Complaints about defaults of a user's, which nobody reads when the host boots."""
    from provisioner.host.jail import settings

    refuse(
        [
            bad_input(
                f"the default {key} is your own, and does not count when the host boots",
                f"write it into the plan's defaults, or into {settings.place()}",
            ).at(where)
            for key, where in target.inherited.items()
            if where.file != str(settings.place())
        ]
    )


def _refuse_plan(given: object) -> None:
    if given:
        raise bad_input(
            "--net is about the devices of vmnet net, which are of no plan",
            "leave out the plan, or --net",
        )


def _print(command: str, found: "list[BootPlan]", *, json: bool) -> None:
    if json:
        from provisioner.commands.boot.install import BootDocument
        from provisioner.json_document import json_document

        typer.echo(json_document(command, Exit.DONE, BootDocument(plans=found)))
    elif found:
        output.print_rows([_TITLES, *map(_row, found)])
    else:
        output.typed("no plan is brought up at boot")


def _row(one: "BootPlan") -> tuple[str, ...]:
    source = f"{one.source} (changed since: vmnet boot install)" if one.changed else one.source
    enabled = "yes" if one.enabled else "no"
    return one.name, one.unit, enabled, one.state or "-", one.watch or "-", source
