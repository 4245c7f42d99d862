"""vmnet modes: explains a mode, measures all of them, or asks the switch behind a NIC."""

from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import Json, Peer, Yes
from provisioner.cli.run import confirm_probe, running
from provisioner.commands import command
from provisioner.errors import bad_input
from provisioner.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from provisioner.host.system.worker import Worker
    from provisioner.reachability.experiment import Lab, PingCell, Place, Verdict

_WIDE = 160  # columns of a table that goes to a file: nothing is folded there


def modes(
    ctx: typer.Context,
    mode: Annotated[
        str | None, typer.Argument(help="Explain this mode: private, vepa, bridge, passthru …")
    ] = None,
    *,
    uplink: Annotated[
        str | None, typer.Option(help="Ask the switch behind this NIC instead.")
    ] = None,
    peer: Peer = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Measure on this kernel who reaches whom in which mode; or explain one MODE.

    Nothing is made in your own network namespace. With --uplink a few frames are sent through a
    NIC, after saying which, to learn whether its switch reflects and lets foreign MACs pass.

    Example: vmnet modes vepa
    """
    gone = "interrupted: what was made for the measurement is gone"
    with running(command.MODES, ctx, json=json, interrupted=gone) as worker:
        _refuse(mode, uplink, peer, yes=yes, json=json)
        if mode is not None:
            from provisioner.reachability import mode_help

            output.typed(mode_help.explain(mode))
        elif uplink is not None:
            _ask(worker, uplink, peer or "", yes=yes, json=json)
        else:
            _measure(worker, json=json)


def _refuse(
    mode: str | None, uplink: str | None, peer: str | None, *, yes: bool, json: bool
) -> None:
    """Refuse words that do not go together."""
    if mode is not None and (uplink is not None or json):
        other = "--uplink" if uplink is not None else "--json"
        raise bad_input(
            f"{other} does not go with a mode to explain", f"leave out {mode}, or {other}"
        )
    if uplink is None and (peer is not None or yes):
        raise bad_input("--peer and --yes are about a NIC's switch", "name the NIC: --uplink NIC")


def _measure(worker: "Worker", *, json: bool) -> None:
    from provisioner.commands import modes
    from provisioner.reachability import experiment

    with output.progress("modes") as (tell, _):
        verdict = modes.measure(worker, tell)
    if json:
        output.typed(experiment.as_json(verdict))
    else:
        _show(verdict)
    raise typer.Exit(verdict.status)


def _ask(worker: "Worker", uplink: str, peer: str, *, yes: bool, json: bool) -> None:
    from provisioner.commands import modes
    from provisioner.reachability import switch_probe

    probe = modes.prepare(worker, uplink, peer)
    confirm_probe(probe, yes=yes)
    with output.progress("modes") as (tell, _):
        answer = modes.ask(worker, probe, tell)
    lines = "\n".join(f"{uplink}: {line}" for line in answer.lines)
    output.typed(switch_probe.as_json(answer) if json else lines)
    raise typer.Exit(answer.status)


def _show(verdict: "Verdict") -> None:
    """Print the tables, then what differs, one line each."""
    from provisioner.reachability.experiment import labs

    for hairpin in (False, True):
        rows = [lab for lab in labs() if lab.hairpin is hairpin]
        switch = "a switch that reflects (hairpin on)" if hairpin else "a usual switch"
        output.typed(f"{switch}: documented / measured here")
        output.print_table(_table(verdict, rows), _WIDE)
    for cell in verdict.differing:
        output.typed(_difference(cell))
    output.typed(f"{verdict.summary} in {verdict.seconds:.1f} s")


def _table(verdict: "Verdict", rows: "Sequence[Lab]") -> "Table":
    from rich.markup import escape

    table = output.table("a", "b", "a <-> b", "a <-> host", "b <-> host", "a <-> LAN", "b <-> LAN")
    for lab in rows:
        cells = {(cell.source, cell.target): cell for cell in verdict.of(lab)}
        table.add_row(escape(lab.a), escape(lab.b or "(alone)"), *_row(cells))
    return table


def _row(cells: "dict[tuple[Place, Place], PingCell]") -> list[str]:
    from provisioner.reachability.experiment import Place

    a, b = Place.A, Place.B
    columns = (a, b), (a, Place.HOST), (b, Place.HOST), (a, Place.OUTSIDE), (b, Place.OUTSIDE)
    pairs = [(cells.get((s, t)), cells.get((t, s))) for s, t in columns]
    return [_cell(there, back) if there and back else "" for there, back in pairs]


def _cell(there: "PingCell", back: "PingCell") -> str:
    """Return documented / measured for both directions, in one word where they agree."""
    documented = "yes" if there.documented.works else "no"
    measured = there.observed
    if measured != back.observed:
        measured = f"{there.observed}, back {back.observed}"
    if there.met and back.met:
        return f"{documented} / {measured}"
    return f"[bold red]{documented} / {measured} <- differs[/bold red]"


def _difference(cell: "PingCell") -> str:
    lab = cell.lab
    switch = "hairpin on" if lab.hairpin else "hairpin off"
    ends = f"{lab.a} with {lab.b}" if lab.b else f"{lab.a} alone"
    documented = "yes" if cell.documented.works else "no"
    return sanitize(
        f"differs: {ends}, {switch}, {cell.source} pings {cell.target}: documented {documented} "
        f"({cell.documented.why}), measured {cell.observed}"
    )
