"""A plan on a NIC, broken in every layer, one way at a time: what the check has to say of each."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.framework import faults
from tests.framework.breakages import DEAD, DRIFT, Breakage, Verdict, broken, harmless, healthy
from tests.framework.lab import Lab
from tests.framework.plan import SharedPlan
from tests.framework.stage import Stage
from tests.framework.wire import cabled_nic

PLAN = """\
networks:
  lan:
    uplink: {lan}
    subnet: [10.90.0.0/24, "fd90::/64"]
    pool: 10.90.0.10-10.90.0.99
    gateway: [10.90.0.254, "fd90::254"]
    spoof_guard: strict
  back: {{uplink: {back}, subnet: 10.91.0.0/24, host_access: true}}
vms:
  a: {{memory: 96M, nics: [lan]}}
  b: {{memory: 96M, nics: [lan, back]}}
  p: {{memory: 96M, nics: [{{network: lan, mode: private}}]}}
"""
GUARD_ADDRESS = "10.90.0.66"


@contextmanager
def opened(lab: Lab) -> Iterator[Stage]:
    """Bring the plan up between two NICs of the lab's; the first has a gateway on its LAN."""
    with cabled_nic(lab, "10.90.0.254/24", "fd90::254/64") as lan, cabled_nic(lab) as back:
        plan = SharedPlan(lab, PLAN.format(lan=lan.name, back=back.name))
        stage = Stage(plan.up(), {"lan": lan, "back": back})
        stage.look()
        yield stage
        plan.end()


B_ENDED = r"b( of the plan)? is not (up|running)|b .*(ended|shut)"

GUESTS = (
    Breakage(faults.interface_down("b"), r"inside b the interface .* is down"),
    Breakage(faults.another_mac("b"), rf"b uses the MAC {faults.OTHER_MAC} inside"),
    Breakage(
        faults.pings_ignored("b"),
        r"\bb\b.*(not? pings?|not answered|drops|ignore)",
        never=r"\ba\b.*firewall",
    ),
    Breakage(
        faults.address_lost("b"),
        r"b does not have the address 10\.90\.0\.\d+ inside",
        also=r"b has no IPv4 address inside",
    ),
    Breakage(
        faults.address_changed("a", GUARD_ADDRESS),
        r"the spoof guard of a \(strict\) has dropped",
        also=r"a does not have the address",
    ),
    Breakage(faults.ipv6_off("b"), r"b .*(no IPv6|does not have the address fd90)"),
    harmless(faults.busy("a")),
    harmless(faults.clock_wrong("a")),
    Breakage(faults.powered_off("b"), B_ENDED),
)
AGENTS = (
    Breakage(faults.agent_stopped("a"), r"a: its guest agent does not answer"),
    Breakage(
        faults.frozen("b"),
        r"\bb\b.*(stopped|frozen|no sign of|does not answer|is not up)",
        never=DEAD,
    ),
    Breakage(faults.killed("b"), B_ENDED, also=DRIFT),
    Breakage(faults.killed("b").amid(), B_ENDED, also=DRIFT),
)
TAPS = (
    Breakage(faults.tap_down("b"), r"the macvtap mvt\w+ of b is down", also=DRIFT),
    Breakage(
        faults.tap_mode("b", "private", "bridge"),
        r"the macvtap mvt\w+ of b is in mode private, the plan says bridge",
        also=DRIFT,
    ),
    Breakage(faults.tap_mtu("b"), r"MTU|1300", also=DRIFT),
    Breakage(faults.deaf_to_multicast("a", "b"), "ALLMULTI", also=DRIFT),
    Breakage(faults.tap_shared("b"), r"the tap of b .* is open in process \d+"),
    Breakage(faults.tap_deleted("b"), r"the macvtap mvt\w+ of b is gone", also=DRIFT),
    Breakage(
        faults.link_impaired("it loses all frames", "b", "--loss", "100%"), r"impaired: loss 100%"
    ),
    Breakage(
        faults.link_impaired("it loses 30 % of its frames", "b", "--loss", "30%"),
        r"impaired: loss 30%",
    ),
    Breakage(faults.guard_gone("a"), "guard", also=DRIFT),
)
UPLINKS = (
    Breakage(faults.uplink_down(), r"the uplink \w+ is down", also=DRIFT),
    Breakage(faults.no_carrier(), r"the uplink \w+ has no carrier"),
    Breakage(faults.no_carrier("back"), r"the uplink \w+ has no carrier"),
    Breakage(faults.uplink_mtu(), r"1400", also=DRIFT),
    Breakage(faults.host_has("b"), r"10\.90\.0\.\d+ of b is (used twice|taken)|this host has"),
)
LANS = (
    Breakage(
        faults.lan_drops("the switch loses 30 %", "numgen random mod 10 < 3 drop"),
        r"\d+ (%|of \d+).* lost|loss \d+",
    ),
    Breakage(
        faults.lan_drops("the switch drops frames above 600 bytes", "meta length > 600 drop"),
        r"packets of 1500 bytes from \w+ to gateway vanish|600",
    ),
)
HOSTS = ()
SERVICES = ()
TABLE = (*GUESTS, *AGENTS, *TAPS, *UPLINKS, *LANS, *HOSTS, *SERVICES)
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
