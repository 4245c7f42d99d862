"""vmnet up, down, status, plan and render: a plan brought up, taken away, looked at."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner import redaction
from provisioner.cli import output
from provisioner.cli.fabric import several
from provisioner.cli.fabric.several import FleetWords
from provisioner.cli.help import known_plans
from provisioner.cli.options import (
    All,
    AllowFile,
    Connection,
    DeclareDead,
    ExitCode,
    File,
    Grace,
    Inventory,
    Json,
    LockTimeout,
    Name,
    Now,
    Plan,
    Sets,
    Timeout,
    Vm,
    Yes,
)
from provisioner.cli.run import (
    agreement,
    confirm,
    end,
    file_words,
    name_target,
    option_value,
    optional_value,
    plan_paths,
    plan_target,
    read,
    reported,
    rereadable,
    running,
    tell_inherited,
)
from provisioner.commands import command
from provisioner.commands.target import CommandRun, SnapshotWish
from provisioner.errors import bad_input
from provisioner.plan.choices import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provisioner.commands.target import NameTarget, PlanTarget


def up(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: Plan = None,
    file: File = None,
    sets: Sets = None,
    *,
    uplink: Annotated[str | None, typer.Option(help="Without a plan: the host's NIC.")] = None,
    mode: Annotated[
        str, typer.Option(help="Without a plan: the macvtap mode.", metavar=f"[{'|'.join(Mode)}]")
    ] = "bridge",
    image: Annotated[str, typer.Option(help="Without a plan: the image.")] = "micro",
    count: Annotated[int, typer.Option(help="Without a plan: how many VMs.", min=1)] = 1,
    subnet: Annotated[
        str, typer.Option(help='Without a plan: where addresses come from; or "dhcp".')
    ] = "169.254.77.0/24",
    print_plan: Annotated[
        bool, typer.Option("--print-plan", help="Print the plan that the options stand for.")
    ] = False,
    ttl: Annotated[
        str, typer.Option(help="Let it be taken away after that time: 30m, 2h, 7d.", metavar="TIME")
    ] = "",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Bring up this VM, and what it needs.", metavar="VM"),
    ] = None,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Restart VMs whose change needs it.")
    ] = False,
    from_snapshot: Annotated[
        str,
        typer.Option(
            "--from-snapshot", metavar="NAME", help="Start guests as they were in this snapshot."
        ),
    ] = "",
    yes: Yes = False,
    all_or_nothing: Annotated[
        bool,
        typer.Option("--all-or-nothing", help="Take away what this run has made if a step fails."),
    ] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Make all that guests need, and start none.")
    ] = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Wait for the guests, and measure nothing.")
    ] = False,
    declare_dead: DeclareDead = None,
    every_row: All = False,
    timeout: Timeout = None,
    connection: Connection = None,
    allow_file: AllowFile = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the files that the plan names are, if not beside it.")
    ] = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Bring a plan up, and measure that it holds.

    Example: vmnet up -f lab.yaml
    """
    with running(command.UP, ctx, json=json) as worker:
        text, words = None, ""
        if uplink:
            from provisioner.plan.load import oneshot

            text = oneshot.plan_text(uplink, mode, image, count, subnet)
            words = "" if sets else oneshot.words(uplink, mode, image, count, subnet)
        paths = () if text else plan_paths(file, plan)
        if print_plan:
            from provisioner.plan.load.loader import printed

            written = [("the command line", text)] if text else read(paths)
            typer.echo(printed(written, sets or ()), nl=False)
            return
        from provisioner.commands.up import up
        from provisioner.inventory import times

        target = plan_target(
            *(paths, sets),
            text=text,
            connection=connection,
            allow_file=allow_file,
            folder=folder,
            several=True,
        )
        if several.is_meant(target, inventory):
            alone: dict[str, object] = {"--prepare": prepare, "--no-check": no_check}
            alone |= {"--from-snapshot": from_snapshot, "--connection": connection}
            several.refuse(target, alone)
            own = several.words(recreate=recreate, ttl=ttl, timeout=timeout)
            given = FleetWords(own, only, declare_dead, all_or_nothing, lock_timeout)
            several.up(target, replace(given, inventory=inventory, json=json, every=every_row))
        target = replace(target, words="" if redaction.are_in(words) else words)
        run = CommandRun(command.UP, worker, timeout or 0, lock_timeout)
        ttl_s = optional_value("--ttl", times.seconds, ttl, 0)
        run = replace(run, recreate=recreate, all_or_nothing=all_or_nothing, ttl_s=ttl_s)
        run = replace(run, idle=output.warm_up, prepare=prepare)
        run = replace(run, pairs="none" if no_check else run.pairs)
        if from_snapshot and prepare:
            raise bad_input(
                "--prepare starts no guest, and --from-snapshot starts them as they were",
                "leave one of them out",
            )
        if from_snapshot:
            wish = SnapshotWish(from_snapshot, only_missing=True)
            run = replace(run, snapshot=wish, agree=agreement(yes=yes))
        if only:
            from provisioner.commands.session import named_vms
            from provisioner.reconcile.start_order import with_those_before

            named = named_vms(target, only)
            run = replace(run, only=with_those_before(target.plan, named))
        tell_inherited(target)
        report = reported(up, target, run)
        end(report, json=json, every=every_row, next_line=_how_to_go_on(target, uplink))


def _how_to_go_on(target: "PlanTarget", uplink: str | None) -> str:
    """Return the commands for a plan that has no file; nothing about one that has."""
    if not uplink:
        return ""
    vm = target.plan.vms[0].name
    into = f"vmnet console --name {target.name} {vm}" if target.words else ""
    nic = shlex.quote(uplink)
    away = f"vmnet down --uplink {nic}"
    return "; ".join([*([f"get in: {into}"] if into else []), f"take it away: {away}"])


def down(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help='The plan (a word with a "." or a "/"), and VMs if not all of it is meant.',
            metavar="PLAN|VM",
            show_default="vmnet.yaml",
        ),
    ] = None,
    file: File = None,
    sets: Sets = None,
    *,
    name: Name = None,
    uplink: Annotated[
        str | None, typer.Option(help="The plan that up --uplink has made on this NIC.")
    ] = None,
    disks: Annotated[
        bool, typer.Option("--disks", help="Remove the disks too, with what guests have written.")
    ] = False,
    yes: Yes = False,
    now: Now = False,
    grace: Grace = 30.0,
    connection: Connection = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Take away everything that vmnet made for a plan, but the disks that guests have written.

    Example: vmnet down lab.yaml
    """
    with running(command.DOWN, ctx, json=json) as worker:
        from provisioner.commands.lifecycle.down import down

        plan, vms = _split(words or ())
        if uplink:
            name = _name_on(uplink, name or plan or file)
        paths = () if name else plan_paths(file, plan)
        target = by_name_or_file(name, paths, sets, connection, several=True)
        if several.is_meant(target, inventory):
            own = several.words(now=now, grace=None if now else grace)
            given = FleetWords(own, vms, lock_timeout_s=lock_timeout, json=json)
            given = replace(given, inventory=inventory)
            several.down(target, given, disks=disks, yes=yes)
        doomed = _doomed(target.name, vms, yes=yes) if disks else frozenset()
        run = CommandRun(command.DOWN, worker, lock_timeout_s=lock_timeout)
        run = replace(run, doomed=doomed, grace_s=0 if now else grace, only=vms or None)
        known = known_plans.names() if name else ()
        report = reported(down, target, run)
        if name and name not in known and not report.done:
            output.line(known_plans.unknown(name, known))
        end(report, json=json)


def status(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: Plan = None,
    file: File = None,
    sets: Sets = None,
    *,
    name: Name = None,
    exit_code: ExitCode = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Ask the guests too: name, OS, addresses, load, disks.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and show what changes as soon as it does.")
    ] = False,
    every: Annotated[
        float, typer.Option(help="With --watch: seconds until it is looked at anyway.", min=1)
    ] = 30.0,
    connection: Connection = None,
    allow_file: AllowFile = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Show what is there, and what `up` would do.

    Example: vmnet status --wide
    """
    with running(command.STATUS, ctx, json=json) as worker:
        paths = () if name else plan_paths(file, plan)
        words = ["--name", name] if name else file_words(rereadable(paths) if watch else paths)
        target = by_name_or_file(name, paths, sets, connection, allow_file, several=not watch)
        if several.is_meant(target, inventory):
            several.refuse(target, {"--wide": wide})
            given = FleetWords(json=json, exit_code=exit_code, lock_timeout_s=lock_timeout)
            several.status(target, replace(given, inventory=inventory))
        if watch:
            words += [word for one in sets or () for word in ("--set", one)]
            words += [word for one in allow_file or () for word in ("--allow-file", str(one))]
            words += ["--connection", connection] if connection else []
            words += ["--wide"] if wide else []
            words += ["--lock-timeout", str(lock_timeout)]
            from provisioner.cli.look.status_watch import watch as watched

            watched(words, every, target, json=json)
        from provisioner.commands.status import status

        run = CommandRun(command.STATUS, worker, lock_timeout_s=lock_timeout, wide=wide)
        end(reported(status, target, run), json=json, steps=True, exit_code=exit_code)


def plan_(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: Plan = None,
    file: File = None,
    sets: Sets = None,
    *,
    exit_code: ExitCode = False,
    declare_dead: DeclareDead = None,
    connection: Connection = None,
    allow_file: AllowFile = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Show what `up` would do; touch nothing.

    Example: vmnet plan lab.yaml --set networks.lan.mode=vepa
    """
    with running(command.PLAN, ctx, json=json) as worker:
        from provisioner.commands.up import plan as planned

        paths = plan_paths(file, plan)
        target = plan_target(
            paths, sets, connection=connection, allow_file=allow_file, several=True
        )
        if several.is_meant(target, inventory):
            given = FleetWords(dead=declare_dead, json=json, exit_code=exit_code)
            given = replace(given, inventory=inventory)
            several.plan(target, replace(given, lock_timeout_s=lock_timeout))
        tell_inherited(target)
        run = CommandRun(command.PLAN, worker, lock_timeout_s=lock_timeout)
        end(reported(planned, target, run), json=json, steps=True, exit_code=exit_code)


def render(vm: Vm = "", file: File = None, sets: Sets = None, allow_file: AllowFile = None) -> None:
    """Print the libvirt XML of a VM.

    Example: vmnet render web -f lab.yaml
    """
    with running(command.RENDER):
        from provisioner.commands.status import render

        typer.echo(render(plan_target(file, sets, allow_file=allow_file), vm), nl=False)


def _name_on(uplink: str, other: object) -> str:
    """Return the name of the plan on a NIC. Raises VmnetError when the words name another, too."""
    from provisioner.plan import scalars
    from provisioner.plan.load import oneshot

    if other:
        raise bad_input(
            "--uplink says which plan is meant, and so does another word",
            "leave one of them out",
        )
    return oneshot.name_of(option_value("--uplink", scalars.uplink, uplink))


def _split(words: "Iterable[str]") -> tuple[Path | None, frozenset[str]]:
    """Return the plan and the VMs among the words of `down`. Raises VmnetError for two plans."""
    plans = [word for word in words if "." in word or "/" in word or word == "-"]
    if len(plans) > 1:
        raise bad_input(
            f"{plans[0]} and {plans[1]} are two plans", "take one down after the other: vmnet down"
        )
    return Path(plans[0]) if plans else None, frozenset(words) - {*plans}


def _doomed(plan: str, vms: frozenset[str], *, yes: bool) -> frozenset[str] | None:
    """Return the disks that the user agrees to remove; None for all. Raises VmnetError."""
    from provisioner.commands.lifecycle.down import written_disks

    if yes:
        return None
    found = [disk for disk in written_disks(plan) if not vms or disk.vm in vms]
    if not found:
        return frozenset()
    output.line("\n".join(["this will be removed:", *(f"  * {disk}" for disk in found)]))
    confirm(
        "Remove it?",
        "nothing has been taken away",
        "if what guests have written may go, say so with --yes",
    )
    return frozenset(disk.path for disk in found)


def by_name_or_file(
    name: str | None,
    paths: "Sequence[Path] | None",
    sets: list[str] | None,
    connection: str | None,
    allow_file: list[Path] | None = None,
    *,
    several: bool = False,
) -> "PlanTarget | NameTarget":
    """Return the plan by its name where one is given, else loaded from its files."""
    if name:
        return name_target(name, connection)
    return plan_target(paths, sets, connection=connection, allow_file=allow_file, several=several)
