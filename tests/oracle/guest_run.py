"""Seeds with real guests: one plan, broken and mended again and again."""

import json
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.framework.faults import Moment
from tests.framework.lab import Lab
from tests.framework.stage import Stage
from tests.oracle.compare import Claim, Judged, disagreements
from tests.oracle.guest_grammar import VMS, GuestScenario, guest_scenario
from tests.oracle.guest_plan import guests
from tests.oracle.guest_truth import guest_oracle
from tests.oracle.light_lab import HOST, LAN
from tests.oracle.truth import Cell, Truth

_NAMES = {"host": HOST, "gateway": LAN} | {vm: end for end, vm in enumerate(VMS)}
_AGAIN = 3
_CHECK_S = 180.0


def judged(seeds: list[int]) -> Iterator[tuple[int, Judged | str]]:
    """Bring the plan up, and return what comes of each seed, or why it cannot be judged."""
    with (
        tempfile.TemporaryDirectory(prefix="vmnet-oracle-") as folder,
        Lab(Path(folder)).opened() as lab,
        guests(lab) as stage,
    ):
        for seed in seeds:
            try:
                yield seed, _run(stage, guest_scenario(seed))
            except Exception:  # noqa: BLE001  (told of this seed, the others go on)
                yield seed, traceback.format_exc()
                stage.again()


def _run(stage: Stage, scenario: GuestScenario) -> Judged:
    stage.wire.reflects(scenario.hairpin)
    with guest_oracle(stage) as asked, ExitStack() as undone:
        truths: list[Truth] = []
        amid = [fault for fault in scenario.faults if fault.moment is Moment.AMID]
        for fault in scenario.faults:
            if fault not in amid:
                undone.callback(fault.apply(stage))
        if amid:
            truths.append(asked.asked())
        if scenario.faults:
            asked.forget()
        report = _checked(stage, scenario, undone)
        truths.append(asked.asked())
        claims = [(cell, _claim(r)) for r in report for cell in _cells(r)]
        wrong = disagreements(claims, truths, broken=bool(scenario.faults))
        for _ in range(_AGAIN):  # a busy machine loses a ping now and then, or a neighbour
            if not wrong:
                break
            truths.append(asked.asked())
            wrong = disagreements(claims, truths, broken=bool(scenario.faults))
    return Judged(tuple(claims), tuple(wrong))


def _checked(stage: Stage, scenario: GuestScenario, undone: ExitStack) -> list[dict[str, Any]]:
    """Run `vmnet check`, and break amid it what is to break then."""
    lines = ["auto", *(f"{source} -/> {target}" for source, target in scenario.forbidden)]
    check = stage.lab.start(
        "check", stage.plan.path, "--json", "--set", f"checks={json.dumps(lines)}"
    )
    for fault in scenario.faults:
        if fault.moment is Moment.AMID:
            threading.Event().wait(scenario.after_ms / 1000)
            undone.callback(fault.apply(stage))
    ran = check.finished(None, _CHECK_S)
    return list(ran.report["results"])


def _cells(result: dict[str, Any]) -> list[Cell]:
    if not result["address"]:
        return []
    version = 6 if ":" in result["address"] else 4
    return [Cell(_NAMES[result["from"]], _NAMES[result["to"]], version)]


def _claim(result: dict[str, Any]) -> Claim:
    """Return what a result says of its cell."""
    if result["observed"] in {"not shown", "not measured", "answered, but by whom?"}:
        return Claim.NOTHING
    if result["observed"] == "no answer":
        return Claim.ISOLATED if result["as_expected"] else Claim.SILENT
    # Where who-has is answered that must not be, pings may be dropped all the same.
    by_arp = result["by"] == "at its macvtap" and result["expected"] != "reaches"
    return Claim.NOTHING if by_arp else Claim.REACHES
