"""A plan on a switch of vmnet's own, broken in every layer, one way at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.framework import faults
from tests.framework.breakages import (
    DEAD,
    DRIFT,
    Breakage,
    Verdict,
    broken,
    harmless,
    healthy,
)
from tests.framework.lab import Lab
from tests.framework.plan import SharedPlan
from tests.framework.stage import Stage
from tests.framework.wire import cabled_nic

PLAN = """\
networks:
  lab:
    switch: {hairpin: true, nat: true, dhcp: true}
    mode: vepa
    subnet: [10.79.0.0/24, "fd79::/64"]
vms:
  a: {memory: 96M, nics: [lab]}
  b: {memory: 96M, nics: [lab]}
"""
PAGE = "mkdir -p /srv; echo hello > /srv/index.html; httpd -p 80 -h /srv"


@contextmanager
def opened(lab: Lab) -> Iterator[Stage]:
    """Bring the plan up on a host that has a way out: a NIC, and its router behind that."""
    there = ("10.99.0.254/24", "fd99::254/64")
    with cabled_nic(lab, *there, host=("10.99.0.1/24", "fd99::1/64")) as world:
        lab.ip("route", "add", "default", "via", "10.99.0.254")
        lab.ip("-6", "route", "add", "default", "via", "fd99::254")
        plan = SharedPlan(lab, PLAN)
        stage = Stage(plan.up(), {"world": world})
        stage.look()
        stage.inside("b", PAGE)
        yield stage
        plan.end()


NO_ADDRESS = r"b has no (DHCP lease|IPv6 address)"
B_ENDED = r"b( of the plan)? is not (up|running)|b .*(ended|shut)"

GUESTS = (
    Breakage(faults.interface_down("b"), r"inside b the interface .* is down", also=NO_ADDRESS),
    Breakage(
        faults.another_mac("b"), rf"b uses the MAC {faults.OTHER_MAC} inside", also=NO_ADDRESS
    ),
    Breakage(
        faults.pings_ignored("b"),
        r"\bb\b.*(not? pings?|not answered|drops|ignore)",
        never=r"\ba\b.*firewall",
    ),
    Breakage(
        faults.address_lost("b"),
        r"b does not have the address 10\.79\.0\.\d+|no (DHCP )?lease",
        also=r"b has no IPv4 address inside",
    ),
    Breakage(faults.ipv6_off("b"), r"b .*(no IPv6|does not have the address fd79)|no lease"),
    harmless(faults.busy("a")),
    harmless(faults.clock_wrong("a")),
    Breakage(
        faults.panicked("a"), r"\ba\b.*(panic|no sign of|does not answer|is not up)", never=DEAD
    ),
    Breakage(faults.powered_off("b"), B_ENDED),
    Breakage(
        faults.agent_stopped("a"),
        r"a: its guest agent does not answer",
        also=r"the guest agent of a does not answer|the address of a is not known",
    ),
    Breakage(
        faults.frozen("b"),
        r"\bb\b.*(stopped|frozen|no sign of|does not answer|is not up)",
        never=DEAD,
    ),
    Breakage(faults.killed("b"), B_ENDED, also=DRIFT),
)
TAPS = (
    Breakage(faults.tap_down("b"), r"the macvtap mvt\w+ of b is down", also=DRIFT),
    Breakage(
        faults.tap_mode("b", "private", "vepa"),
        r"the macvtap mvt\w+ of b is in mode private, the plan says vepa",
        also=DRIFT,
    ),
    Breakage(faults.tap_shared("b"), r"the tap of b .* is open in process \d+"),
    Breakage(faults.link_impaired("its cable is pulled", "b", "down"), r"of b is down", DRIFT),
    Breakage(
        faults.link_impaired("it loses 30 % of its frames", "b", "--loss", "30%"),
        r"impaired: loss 30%",
    ),
    Breakage(faults.guard_gone("a"), "guard", also=DRIFT),
)
SWITCHES = (
    Breakage(
        faults.port_set("hairpin is off", "hairpin off", "hairpin on"),
        r"stopped to send frames back",
        also=DRIFT,
    ),
    Breakage(
        faults.switch_set(
            "the bridge's port is down", "ip link set <port> down", "ip link set <port> up"
        ),
        r"(mvh|mvl)\w+ .*(down|no carrier)|switch .*down",
        also=DRIFT,
    ),
    Breakage(
        faults.switch_set(
            "the lower device is down", "ip link set <lower> down", "ip link set <lower> up"
        ),
        r"mvl\w+ .*down|switch .*down",
        also=DRIFT,
    ),
)
HOSTS = ()
SERVICES = ()
TABLE = (*GUESTS, *TAPS, *SWITCHES, *HOSTS, *SERVICES)
STAGES = ((opened, TABLE),)


@pytest.fixture(scope="module")
def stage(shared_lab: Lab) -> Iterator[Stage]:
    with opened(shared_lab) as made:
        yield made


@pytest.mark.parametrize("breakage", TABLE, ids=str)
def test_a_breakage_is_told_by_its_cause_and_undone(stage: Stage, breakage: Breakage) -> None:
    outcome = broken(stage, breakage)
    assert outcome.verdict is Verdict.RIGHT, outcome
    healthy(stage)
