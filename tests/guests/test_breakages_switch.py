"""A plan on a switch of vmnet's own, broken in every layer, one way at a time."""

import signal
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
    harmless,
    healthy,
)
from tests.framework.faults import SWITCH, Layer
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
        faults.address_lost("b"),
        r"b does not have the address 10\.79\.0\.\d+|no (DHCP )?lease",
        also=r"b has no IPv4 address inside",
    ),
    Breakage(faults.default_route_lost("a"), r"a has no way to 10\.99\.0\.254"),
    Breakage(
        faults.arp_off("b"),
        r"\bb\b.*(ARP|who-has|its own stack)",
        also=r"never reached the macvtap of a|b asked for .* nobody has answered",
    ),
    Breakage(faults.ipv6_off("b"), r"b .*(no IPv6|does not have the address fd79)|no lease"),
    Breakage(
        faults.agent_stopped("a"),
        r"a: its guest agent does not answer",
        also=r"the guest agent of a does not answer|the address of a is not known",
    ),
)
TAPS = (
    Breakage(
        faults.tap_mode("b", "private", "vepa"),
        r"the macvtap mvt\w+ of b is in mode private, the plan says vepa",
        also=DRIFT,
    ),
)
SWITCHES = (
    Breakage(
        faults.port_set("hairpin is off", "hairpin off", "hairpin on"),
        r"stopped to send frames back",
        also=DRIFT,
    ),
    Breakage(
        faults.breaks_until_up(
            "the bridge is down", Layer.SWITCH, "ip link set <bridge> down", SWITCH
        ),
        r"mvb\w+ (is|of .* is) down|switch .*is down",
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
    Breakage(
        faults.port_set(
            "the port lets no MAC in",
            "locked on fdb_flush",
            "locked off",
        ),
        r"port|switch",
        also=DRIFT,
    ),
    Breakage(
        faults.forgetting(
            faults.port_set(
                "the port floods nothing",
                "learning off flood off bcast_flood off mcast_flood off fdb_flush",
                "learning on flood on bcast_flood on mcast_flood on",
            ),
            *"ab",
        ),
        r"port|switch",
        also=DRIFT,
        never=rf"{INSIDE}|hairpin is off",
    ),
    Breakage(
        faults.switch_set(
            "the bridge sends b's frames to itself",
            "bridge fdb replace <mac b> dev <bridge> self permanent",
            "bridge fdb del <mac b> dev <bridge> self permanent",
        ),
        r"bridge|switch|MAC",
        also=DRIFT,
    ),
    Breakage(
        faults.breaks_until_up(
            "the host's address is gone",
            Layer.SWITCH,
            "ip addr del 10.79.0.1/24 dev <bridge>",
            SWITCH,
        ),
        r"10\.79\.0\.1",
        also=DRIFT,
    ),
    Breakage(
        faults.bridge_drops("a rule of the bridge drops ICMP", "ip protocol icmp drop"),
        r"switch|bridge|rule|mvb|mvh|mvl",
    ),
)
NO_WAY_OUT = faults.on_host(
    "the host's way out is gone",
    Layer.HOST,
    "ip route del default via 10.99.0.254",
    "ip route add default via 10.99.0.254",
)
HOSTS = (
    Breakage(
        faults.breaks_until_up("all rules are flushed", Layer.HOST, "nft flush ruleset", SWITCH),
        DRIFT,
    ),
    Breakage(
        faults.breaks_until_up(
            "the NAT is gone", Layer.HOST, "nft delete table inet vmnet_<plan>_lab", SWITCH
        ),
        r"create nat",
        also=r"NAT|outside",
    ),
    Breakage(
        faults.breaks_until_up(
            "forwarding is off", Layer.HOST, "sysctl -qw net.ipv4.ip_forward=0", SWITCH
        ),
        r"update nat|forward",
        also=r"NAT|outside",
    ),
    Breakage(
        faults.host_drops("somebody's rule forwards nothing", "forward", "drop"),
        r"forward|NAT|outside",
    ),
    # Nobody can be asked then whether NAT works by IPv4: that is told with what was chosen.
    harmless(NO_WAY_OUT),
    Breakage(
        faults.on_host(
            "the host ignores pings",
            Layer.HOST,
            "sysctl -qw net.ipv4.icmp_echo_ignore_all=1",
            "sysctl -qw net.ipv4.icmp_echo_ignore_all=0",
        ),
        r"host",
        never=r"inside (a|b)\b",
    ),
    Breakage(
        faults.on_host(
            "a route of the host to b is stolen",
            Layer.HOST,
            "ip route add blackhole <ip b>/32",
            "ip route del blackhole <ip b>/32",
        ),
        r"route|host",
    ),
    Breakage(
        faults.on_host(
            "the host's neighbour entry for b is wrong",
            Layer.HOST,
            f"ip neigh replace <ip b> lladdr {faults.OTHER_MAC} nud permanent dev <bridge>",
            "ip neigh del <ip b> dev <bridge>",
        ),
        r"neighbour|host",
    ),
)
SERVICES = (
    Breakage(faults.dnsmasq_gets(signal.SIGKILL), r"create dhcp lab: it has ended"),
    Breakage(faults.dnsmasq_gets(signal.SIGSTOP), r"create dhcp lab: .*is stopped"),
    Breakage(faults.resolver_wrong("a"), r"resolve"),
    Breakage(
        faults.in_guest("nothing listens", "b", "true", layer=Layer.SERVICE),
        r"nothing listens there on tcp/5432",
        checks=("a -> b tcp/5432",),
    ),
    Breakage(
        faults.in_guest(
            # One that another row has started anew serves nothing anyway.
            *("its web server is dead", "b", "killall httpd 2> /dev/null || true", PAGE),
            layer=Layer.SERVICE,
        ),
        r"nothing listens there on|refused",
        checks=("a -> b http://<ip b>/",),
    ),
)
# Causes that do not depend on the kind of the network: the suite makes them on a NIC, in
# test_breakages_uplink; the program (tests/framework/breakages.py) makes them here, too.
AS_ON_A_NIC = (
    Breakage(
        faults.another_mac("b"), rf"b uses the MAC {faults.OTHER_MAC} inside", also=NO_ADDRESS
    ),
    Breakage(
        faults.pings_ignored("b"),
        r"\bb\b.*(not? pings?|not answered|drops|ignore)",
        never=r"\ba\b.*firewall",
    ),
    Breakage(faults.routes_lost("a"), r"a has (sent nothing|no (route|way))"),
    Breakage(faults.blackhole("a", "b"), r"a has (sent nothing|no (route|way))"),
    Breakage(
        faults.wrong_neighbour("a", "b"), rf"{faults.OTHER_MAC}|a .*neighbour", also="never reached"
    ),
    Breakage(faults.carries("b", "a"), r"b .*(has|carries|itself).*|by itself"),
    harmless(faults.busy("a")),
    harmless(faults.clock_wrong("a")),
    Breakage(
        faults.panicked("a"), r"\ba\b.*(panic|no sign of|does not answer|is not up)", never=DEAD
    ),
    Breakage(faults.powered_off("b"), B_ENDED, also=DRIFT),
    Breakage(
        faults.frozen("b"),
        r"\bb\b.*(stopped|frozen|no sign of|does not answer|is not up)",
        never=DEAD,
    ),
    Breakage(faults.killed("b"), B_ENDED, also=DRIFT),
    Breakage(faults.tap_down("b"), r"the macvtap mvt\w+ of b is down", also=DRIFT),
    Breakage(faults.tap_mac("b"), r"MAC", also=DRIFT),
    Breakage(faults.tap_shared("b"), r"the tap of b .* is open in process \d+"),
    Breakage(faults.tap_drops("b"), r"chain c of table netdev bad .* the macvtap mvt\w+ of b$"),
    Breakage(faults.link_impaired("its cable is pulled", "b", "down"), r"of b is down", DRIFT),
    Breakage(
        faults.link_impaired("it loses 30 % of its frames", "b", "--loss", "30%"),
        r"impaired: loss 30%",
    ),
    Breakage(faults.guard_gone("a"), "guard", also=DRIFT),
    Breakage(
        faults.host_drops("the host's firewall drops pings", "input", "ip protocol icmp drop"),
        r"host",
        never=r"inside (a|b)\b",
    ),
)
TABLE = (*GUESTS, *TAPS, *SWITCHES, *HOSTS, *SERVICES)

STAGES = ((opened, (*TABLE, *AS_ON_A_NIC)),)


@pytest.fixture(scope="module")
def stage(shared_lab: Lab) -> Iterator[Stage]:
    with opened(shared_lab) as made:
        yield made
        healthy(made)  # what a row leaves behind would be told in the next one's place


@pytest.mark.parametrize("breakage", TABLE, ids=str)
def test_a_breakage_is_told_by_its_cause(stage: Stage, breakage: Breakage) -> None:
    outcome = broken(stage, breakage)
    assert outcome.verdict is Verdict.RIGHT, str(outcome)


def test_a_way_out_that_the_host_has_lost_is_told_to_be_not_measured(stage: Stage) -> None:
    undo = NO_WAY_OUT.apply(stage)
    try:
        ran = stage.lab.start("check", stage.plan.path, "--json").finished(None)
    finally:
        undo()
    chosen = ran.report["chosen"]["NAT of lab"]
    assert (ran.status, chosen["value"]) == (0, "asked of fd99::254, not measured by IPv4")
