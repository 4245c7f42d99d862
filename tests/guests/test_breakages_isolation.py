"""What must not reach is shown by a control, or is not shown: guests that could not be reached."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.framework import faults
from tests.framework.breakages import (
    DEAD,
    DRIFT,
    INSIDE,
    Breakage,
    Verdict,
    broken,
    filtered,
    healthy,
)
from tests.framework.faults import Fault, Layer
from tests.framework.lab import Lab
from tests.framework.plan import SharedPlan
from tests.framework.stage import Stage
from tests.framework.wire import cabled_nic

APART = """\
networks:
  lan:
    {{uplink: {nic}, mode: private, subnet: [10.93.0.0/24, "fd93::/64"], gateway: 10.93.0.254}}
vms: {{p: {{memory: 96M, nics: [lan]}}, q: {{memory: 96M, nics: [lan]}}}}
"""
MEET = APART.replace("private", "bridge").replace("p:", "a:").replace("q:", "b:")
MEET = MEET.replace("10.93", "10.94").replace("fd93", "fd94")


@contextmanager
def apart(lab: Lab) -> Iterator[Stage]:
    """Bring up two private guests on a NIC."""
    yield from _opened(lab, APART, "p", "10.93.0.254/24", "fd93::254/64")


@contextmanager
def meeting(lab: Lab) -> Iterator[Stage]:
    """Bring up two bridge guests on a NIC: what a check of the user's forbids them, leaks."""
    yield from _opened(lab, MEET, "m", "10.94.0.254/24", "fd94::254/64")


def _opened(lab: Lab, text: str, part: str, *gateway: str) -> Iterator[Stage]:
    with cabled_nic(lab, *gateway) as nic:
        plan = SharedPlan(lab, text.format(nic=nic.name), part)
        stage = Stage(plan.up(), {"lan": nic})
        stage.look()
        yield stage
        plan.end()


def both_taps(rule: str) -> Fault:
    """Return rules of somebody's that drop what both guests send."""

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.host(
            "nft 'add table netdev bad; "
            + "; ".join(
                f"add chain netdev bad {vm} {{ type filter hook egress device "
                f'"<tap {vm}>" priority 10; }}; add rule netdev bad {vm} {rule}'
                for vm in ("p", "q")
            )
            + "'"
        )
        yield
        stage.host("nft delete table netdev bad")

    return Fault("a rule drops what both send", Layer.TAP, breaking)


def unicast_leak() -> Fault:
    """Return a switch that reflects, and guests that need not ask for each other's MAC."""

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.wire.reflects(hairpin=True)
        for vm, other in (("p", "q"), ("q", "p")):
            stage.inside(vm, f"arp -i eth0 -s <ip {other}> <mac {other}>")
        yield
        stage.wire.reflects(hairpin=False)
        for vm, other in (("p", "q"), ("q", "p")):
            stage.inside(vm, f"arp -i eth0 -d <ip {other}>")

    return Fault("the switch reflects, and they know each other's MAC", Layer.LAN, breaking)


UNANSWERED = r"gateway|10\.93\.0\.254"  # what the guests do reach when all is well
ALONE = (
    Breakage(faults.no_carrier(), r"no carrier"),
    Breakage(faults.uplink_down(), r"uplink \w+ is down", also=DRIFT),
    Breakage(faults.interface_down("p"), r"\bp\b.*(down|no isolation)|no isolation"),
    Breakage(faults.interface_down("q"), r"\bq\b.*(down|no isolation)|no isolation"),
    Breakage(
        faults.uplink_drops("ingress"),
        "no isolation",
        also=filtered("ingress of the uplink"),
        never=rf"{INSIDE}|the network behind",
    ),
    Breakage(
        faults.uplink_drops("egress"),
        "never left by",
        also=filtered("egress of the uplink"),
        never=f"{INSIDE}|behind",
    ),
    Breakage(
        both_taps("drop"),
        "was seen to leave it",
        also=filtered(r"egress of the macvtap \w+ of (p|q)", "[pq]"),
    ),
    Breakage(faults.tap_down("q"), r"macvtap mvt\w+ of q is down", also=f"{DRIFT}|no isolation"),
    Breakage(
        faults.lan_drops("the switch drops all", "drop"),
        "nobody beyond",
        also=UNANSWERED,
    ),
    Breakage(faults.agent_stopped("p"), r"p: its guest agent does not answer", also="no isolation"),
    Breakage(
        faults.address_lost("q"),
        r"q does not have the address",
        also="q has no IPv4 address inside",
    ),
    Breakage(faults.routes_lost("p"), r"no isolation|sent nothing|has no (route|way)"),
    Breakage(
        faults.panicked("q"), r"\bq\b.*(panic|no sign of|does not answer|is not up)", never=DEAD
    ),
    Breakage(
        faults.frozen("q"),
        r"\bq\b.*(stopped|frozen|no sign of|does not answer|is not up)",
        never=DEAD,
    ),
    Breakage(unicast_leak(), r"p reaches q, which it must not|sends frames back"),
    Breakage(
        faults.tap_mode("q", "bridge", "private"), r"in mode bridge, the plan says private", DRIFT
    ),
)
FORBIDDEN = ("a -/> b ipv4",)
LEAKING = (
    Breakage(faults.interface_down("b"), r"no isolation|\bb\b.*down", checks=FORBIDDEN),
    Breakage(faults.address_lost("b"), r"no isolation|b does not have", checks=FORBIDDEN),
    Breakage(
        faults.routes_lost("a"), r"no isolation|sent nothing|has no (route|way)", checks=FORBIDDEN
    ),
    Breakage(faults.panicked("b"), r"no isolation|b is not up|panic", never=DEAD, checks=FORBIDDEN),
    Breakage(faults.killed("b").amid(), r"no isolation|b is not|ended", DRIFT, checks=FORBIDDEN),
    Breakage(faults.interface_down("b"), r"no isolation|\bb\b.*down", checks=("a -/> b tcp/5432",)),
    Breakage(
        faults.in_guest("nothing listens", "b", "true", layer=Layer.SERVICE),
        r"refuse",
        checks=("a -/> b tcp/5432",),
    ),
    Breakage(
        faults.in_guest("no web server runs", "b", "true", layer=Layer.SERVICE),
        r"refuse",
        checks=("a -/> b http://<ip b>/",),
    ),
    Breakage(
        faults.in_guest("its resolver is dead", "a", "true", layer=Layer.SERVICE),
        r"no isolation|cannot be tested|resolver",
        checks=("a -/> dns b",),
    ),
)

STAGES = ((apart, ALONE), (meeting, LEAKING))
TABLE = (*ALONE, *LEAKING)


@pytest.fixture(scope="module")
def alone(shared_lab: Lab) -> Iterator[Stage]:
    with apart(shared_lab) as made:
        yield made
        healthy(made)  # what a row leaves behind would be told in the next one's place


@pytest.fixture(scope="module")
def leaking(shared_lab: Lab) -> Iterator[Stage]:
    with meeting(shared_lab) as made:
        yield made
        healthy(made)  # what a row leaves behind would be told in the next one's place


@pytest.mark.parametrize("breakage", ALONE, ids=str)
def test_isolation_is_not_shown_by_silence(alone: Stage, breakage: Breakage) -> None:
    outcome = broken(alone, breakage)
    assert outcome.verdict is Verdict.RIGHT, str(outcome)


@pytest.mark.parametrize("breakage", LEAKING, ids=str)
def test_what_leaks_when_well_is_never_isolated(leaking: Stage, breakage: Breakage) -> None:
    outcome = broken(leaking, breakage)
    assert outcome.verdict is Verdict.RIGHT, str(outcome)
