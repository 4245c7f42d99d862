"""One seed, from the network that it stands for to where vmnet and the oracle disagree."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from provisioner.check.result import Result, Vantage
from provisioner.reachability.pairs import Expected
from tests.oracle import light_check
from tests.oracle.compare import Claim, Disagreement, Judged, disagreements
from tests.oracle.grammar import Fault, Moment, Scenario
from tests.oracle.light_faults import Undo, broken
from tests.oracle.light_lab import HOST, LAN, LightLab, light_lab
from tests.oracle.truth import Cell, Oracle, Truth, oracle

_AGAIN = 2
_STATIC = frozenset({"knows everybody", "knows a peer wrongly"})
_TWO_MACS = frozenset({"a wrong MAC claimed", "a peer's address too"})


def run(scenario: Scenario) -> Judged:
    """Build, break, measure by both, and compare."""
    with light_lab(scenario.network) as lab, oracle(lab) as asked, ExitStack() as undone:
        later: list[Callable[[], object]] = []
        for fault in scenario.faults:
            if fault.moment is Moment.BEGINS:
                later.append(partial(_begun, lab, fault, undone))
                continue
            undo = _once(broken(lab, fault))
            undone.callback(undo)
            if fault.moment is Moment.PASSES:
                later.append(undo)
        truths = [asked.asked()]
        with _meanwhile(scenario.faults, later) as began:
            results = light_check.checked(lab, scenario, began)
        truths.append(asked.asked())
        claims = [
            (cell, _claim(scenario, cell, r))
            for r in results
            if r.address
            for cell in (light_check.cell(r.pair, r.address),)
        ]
        wrong = _asked_again(asked, claims, truths, broken=bool(scenario.faults))
    return Judged(tuple(claims), tuple(wrong))


def _asked_again(
    asked: Oracle, claims: list[tuple[Cell, Claim]], truths: list[Truth], *, broken: bool
) -> list[Disagreement]:
    """Return where they disagree, also when the oracle has asked once more."""
    wrong = disagreements(claims, truths, broken=broken)
    for _ in range(_AGAIN if wrong else 0):  # a busy machine loses a ping now and then
        truths.append(asked.asked())
        wrong = disagreements(claims, truths, broken=broken)
    if not broken:
        return wrong
    silent = {x.cell.source for x in wrong if x.claim is Claim.SILENT}
    alone = {source: asked.asked(source) for source in sorted(silent)}
    return [
        x for x in wrong if x.claim is not Claim.SILENT or x.cell in alone[x.cell.source].reached
    ]


def _begun(lab: LightLab, fault: Fault, undone: ExitStack) -> None:
    undone.callback(broken(lab, fault))


def _once(undo: Undo) -> Undo:
    left = [undo]
    return lambda: left.pop()() if left else None


@contextmanager
def _meanwhile(
    faults: tuple[Fault, ...], later: list[Callable[[], object]]
) -> Iterator[Callable[[], None]]:
    """Do what comes later, in a thread of its own, once vmnet has begun to measure."""
    delay_s = max((fault.after_ms for fault in faults), default=0) / 1000
    began = threading.Event()
    pause = threading.Event()

    def work() -> None:
        began.wait()
        pause.wait(delay_s)
        for one in later:
            one()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield began.set
    finally:
        began.set()
        thread.join()


def _claim(scenario: Scenario, cell: Cell, result: Result) -> Claim:
    """Return what a result says of its cell."""
    at_macvtap = result.by is Vantage.MACVTAP
    if at_macvtap and any(fault.kind in _STATIC for fault in scenario.faults):
        return Claim.NOTHING  # what guests know of each other shows at no macvtap
    if result.reached and result.wrong:
        return Claim.NOTHING  # somebody has answered
    if result.reached:
        # Where who-has is answered that must not be, pings may be dropped all the same.
        by_arp = at_macvtap and result.pair.expected is not Expected.REACHES
        return Claim.NOTHING if by_arp and scenario.faults else Claim.REACHES
    if result.observed != "no answer":
        hidden = _is_hidden(scenario, cell.source) or _is_hidden(scenario, cell.target)
        return Claim.UNKNOWABLE if hidden else Claim.NOTHING
    if result.met:
        return Claim.ISOLATED
    # Neighbours know either MAC, by who has asked last: so they answer, or not.
    torn = {x for f in scenario.faults if f.kind in _TWO_MACS for x in (f.end, f.peer)}
    flaps = bool(torn & {cell.source, cell.target})
    return Claim.NOTHING if flaps else Claim.SILENT


def _is_hidden(scenario: Scenario, end: int) -> bool:
    """Return whether an end has no agent, and hears nothing of the host."""
    if end in {LAN, HOST} or end in scenario.typed:
        return False
    network = scenario.network
    return network.modes[end] == "source" and HOST not in network.lists[end]
