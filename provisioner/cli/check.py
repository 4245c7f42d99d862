"""vmnet check: the measurements as a grid, as TAP, JUnit, JSON or HTML, once or again."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from provisioner.cli import output
from provisioner.cli.fabric import several
from provisioner.cli.fabric.several import FleetWords
from provisioner.cli.options import (
    All,
    Connection,
    File,
    Inventory,
    Json,
    LockTimeout,
    MadeName,
    Plan,
    Sets,
    Timeout,
)
from provisioner.cli.run import (
    file_words,
    known_target,
    plan_paths,
    reported,
    rereadable,
    running,
)
from provisioner.commands import command
from provisioner.commands.target import CommandRun
from provisioner.errors import Exit, bad_input
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget
    from provisioner.report.report import Report

Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")]
Prom = Annotated[
    Path | None,
    typer.Option(help="Write metrics for node_exporter's textfile collector to this file."),
]
Html = Annotated[Path | None, typer.Option(help="Write one self-contained page to this file.")]


def check(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: Plan = None,
    file: File = None,
    sets: Sets = None,
    *,
    name: MadeName = None,
    pairs: Annotated[
        str, typer.Option(help="all, or sample: a part that touches every guest.")
    ] = "all",
    watch: Annotated[bool, typer.Option("--watch", help="Measure again and again.")] = False,
    every: Annotated[float, typer.Option(help="With --watch: seconds between.", min=0.5)] = 5.0,
    junit: Junit = None,
    html: Html = None,
    prom: Prom = None,
    tap: Annotated[bool, typer.Option("--tap", help="Write TAP on standard output.")] = False,
    every_row: All = False,
    timeout: Timeout = None,
    connection: Connection = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Measure who reaches whom among the VMs that run, and why not.

    Example: vmnet check --all --junit report.xml
    """
    with running(command.CHECK, ctx, json=json) as worker:
        _refuse(pairs, watch=watch, tap=tap, json=json)
        paths = () if name else plan_paths(file, plan)
        if watch:
            argv = ["--pairs", pairs, "--lock-timeout", str(lock_timeout)]
            argv += ["--timeout", str(timeout)] if timeout else []
            argv += [word for one in sets or () for word in ("--set", one)]
            argv += ["--name", name] if name else file_words(rereadable(paths))
            argv += ["--connection", connection] if connection else []
            files = (("--junit", junit), ("--html", html), ("--prom", prom))
            argv += [word for option, path in files if path for word in (option, str(path))]
            _watch(argv, every, known_target(name, paths, sets, connection=connection))
        from provisioner.commands import up

        target = known_target(name, paths, sets, connection=connection, several=True)
        if several.is_meant(target, inventory):
            own = several.words(timeout=timeout, pairs=pairs)
            given = FleetWords(own, inventory=inventory, lock_timeout_s=lock_timeout)
            report = several.checked(target, given)
            write(report, target, junit, html, prom)
            show(report, tap=tap, json=json, every=every_row)
            raise typer.Exit(report.status)
        run = CommandRun(command.CHECK, worker, timeout or 0, lock_timeout)
        report = reported(up.check, target, replace(run, pairs=pairs, idle=output.warm_up))
        write(report, target, junit, html, prom)
        show(report, tap=tap, json=json, every=every_row)
        raise typer.Exit(report.status)


def _refuse(pairs: str, *, watch: bool, tap: bool, json: bool) -> None:
    if pairs not in {"all", "sample"}:
        raise bad_input(
            f'--pairs: "{pairs}" is not a choice of pairs', "write --pairs all or --pairs sample"
        )
    if watch + tap + json > 1:
        raise bad_input(
            "--watch, --tap and --json each want the output for themselves", "choose one of them"
        )


def show(report: "Report", *, tap: bool, json: bool, every: bool = False) -> None:
    """Print the report, with `every` row or not; in a GitHub job, with annotations."""
    if json:
        from provisioner.report.document import as_json

        typer.echo(as_json(report))
    elif tap:
        from provisioner.report.tap14 import as_tap

        typer.echo(as_tap(report), nl=False)
    else:
        output.show(report, every=every)
        _annotate(report)


def _annotate(report: "Report") -> None:
    """Annotate a GitHub job with what is wrong, and sum up the step; elsewhere do nothing."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    from provisioner.host.system import whole_files
    from provisioner.report import github

    typer.echo(github.annotations(report), nl=False)
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        whole_files.append_report(Path(path), github.summary(report))


def write(
    report: "Report",
    target: "PlanTarget",
    junit: Path | None,
    html: Path | None,
    prom: Path | None = None,
) -> None:
    """Write the files that were asked for. Raises VmnetError when one cannot be written."""
    from provisioner.host.system import whole_files

    if junit:
        from provisioner.report.junit import as_junit

        whole_files.write_report(junit, as_junit(report))
    if html:
        from provisioner.report.html import as_html

        whole_files.write_report(html, as_html(report, target.plan))
    if prom:
        from provisioner.report.prometheus import as_metrics

        whole_files.write_report(prom, as_metrics(report, time.time()))


def _watch(argv: list[str], every: float, target: "PlanTarget") -> NoReturn:
    """Measure again and again, each time by a vmnet of its own: nothing is held in between.

    So other commands have their turn, and what they change is seen. What happens meanwhile is told
    at once. Ends with the last status.
    """
    from provisioner.commands.check import happenings, watch

    status = int(Exit.DONE)
    before: watch.Round | None = None
    try:
        with happenings.around(target) as around:
            for found in watch.news(argv, every, around):
                if isinstance(found, str):
                    output.typed_now(one_line(found, 2000))
                    continue
                status = found.status  # whoever has read a line of it may end this
                if before is None:
                    output.typed_now(one_line(found.summary, 2000))
                for line in watch.changes(before, found):
                    output.typed_now(one_line(line, 2000))
                before = found
    except KeyboardInterrupt:
        output.line("no more watching")
    raise typer.Exit(status)
