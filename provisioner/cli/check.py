"""vmnet check: the measurements told as a grid, as TAP, JUnit, JSON or HTML, once or again."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from provisioner.cli import output
from provisioner.cli.run import Allowed, Connection, answering, options, path_of, target, worker_of
from provisioner.errors import Exit, VmnetError
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.target import Target
    from provisioner.report.report import Report

Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds that it may take.",
        min=1,
        show_default="120 for the guests; 600 with cloud-init",
    ),
]
Html = Annotated[Path | None, typer.Option(help="Write one self-contained page to this file.")]


def check(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    plan: Annotated[
        Path | None, typer.Argument(help="The plan.", show_default="vmnet.yaml")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="The plan.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a value: networks.lan.mode=vepa. Repeatable."),
    ] = None,
    *,
    pairs: Annotated[
        str, typer.Option(help="all, or sample: a part that touches every guest.")
    ] = "all",
    watch: Annotated[bool, typer.Option("--watch", help="Measure again and again.")] = False,
    every: Annotated[float, typer.Option(help="With --watch: seconds between.", min=0.5)] = 5.0,
    junit: Junit = None,
    html: Html = None,
    tap: Annotated[bool, typer.Option("--tap", help="Write TAP on standard output.")] = False,
    timeout: Timeout = None,
    connection: Connection = None,
    lock_timeout: Annotated[
        float, typer.Option(help="Seconds to wait for another command on the same plan.", min=0)
    ] = 30.0,
    json: Annotated[
        bool, typer.Option("--json", help="Write the report as JSON on standard output.")
    ] = False,
) -> None:
    """Measure who reaches whom among the VMs that run, and why not."""

    def work() -> NoReturn:
        from provisioner.commands import up

        _refuse(pairs, watch=watch, tap=tap, json=json)
        about = target(plan, file, sets, allowed=Allowed(connection))
        how = options("check", timeout or 0, lock_timeout, pairs=pairs)
        with output.progress("check") as tell:
            report = up.check(about, how, worker_of(ctx), tell)
        write(report, about, junit, html)
        show(report, tap=tap, json=json)
        raise typer.Exit(report.status)

    def again() -> NoReturn:
        _refuse(pairs, watch=watch, tap=tap, json=json)
        words = ["--pairs", pairs, "--lock-timeout", str(lock_timeout)]
        words += ["--timeout", str(timeout)] if timeout else []
        words += [word for one in sets or () for word in ("--set", one)]
        words += ["--file", str(path_of(plan, file))]
        words += ["--connection", connection] if connection else []
        words += [w for o, p in (("--junit", junit), ("--html", html)) if p for w in (o, str(p))]
        _watch(words, every)

    answering("check", again if watch else work, json=json, worker=ctx.obj)


def _refuse(pairs: str, *, watch: bool, tap: bool, json: bool) -> None:
    if pairs not in {"all", "sample"}:
        raise VmnetError(
            f'--pairs: "{pairs}" is not a choice of pairs',
            fix="write --pairs all or --pairs sample",
            status=Exit.BAD_INPUT,
        )
    if watch + tap + json > 1:
        raise VmnetError(
            "--watch, --tap and --json each want the output for themselves",
            fix="choose one of them",
            status=Exit.BAD_INPUT,
        )


def show(report: "Report", *, tap: bool, json: bool) -> None:
    """Print the report, and tell a GitHub job where there is one."""
    if json:
        from provisioner.report.report import as_json

        typer.echo(as_json(report))
    elif tap:
        from provisioner.report.tap14 import as_tap

        typer.echo(as_tap(report), nl=False)
    else:
        output.show(report)
        github(report)


def github(report: "Report") -> None:
    """Tell a GitHub job what is wrong, and sum up the step; elsewhere do nothing."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    from provisioner.host.system import report_files
    from provisioner.report import github as words

    typer.echo(words.annotations(report), nl=False)
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        report_files.append(Path(path), words.summary(report))


def write(report: "Report", about: "Target", junit: Path | None, html: Path | None) -> None:
    """Write the files that were asked for. Raises VmnetError when one cannot be written."""
    from provisioner.host.system import report_files

    if junit:
        from provisioner.report.junit import as_junit

        report_files.write(junit, as_junit(report))
    if html:
        from provisioner.report.html import as_html

        report_files.write(html, as_html(report, about.plan))


def _watch(words: list[str], every: float) -> NoReturn:
    """Measure again and again, each time by a vmnet of its own: nothing is held in between.

    So other commands have their turn, and what they change is seen. Ends with the last status.
    """
    from provisioner.commands.check import watch

    status = int(Exit.DONE)
    before: dict[str, str] | None = None
    try:
        for found in watch.rounds(words, every):
            if before is None:
                output.typed_now(one_line(found.summary, 2000))
            for line in watch.changes(before, found):
                output.typed_now(one_line(line, 2000))
            before, status = found.observed, found.status
    except KeyboardInterrupt:
        output.line("no more watching")
    raise typer.Exit(status)
