"""A plan on a NIC, broken in every layer, one way at a time: what the check has to say of each."""

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
    harmless,
    healthy,
)
from tests.framework.faults import Layer
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
"""
GUARD_ADDRESS = "10.90.0.166"  # outside the pool: nobody has it


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

# The host itself drops: neither a guest nor the network behind the NIC is to blame.
NOT_BEHIND = rf"{INSIDE}|the network behind"

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
    Breakage(faults.routes_lost("a"), r"a has (sent nothing|no (route|way))"),
    Breakage(faults.blackhole("a", "b"), r"a has (sent nothing|no (route|way))"),
    Breakage(faults.wrong_neighbour("a", "b"), rf"a sends .* of b to the MAC {faults.OTHER_MAC}"),
    Breakage(faults.arp_off("b"), r"inside b ARP is off"),
    Breakage(faults.ipv6_off("b"), r"b .*(no IPv6|does not have the address fd90)"),
    Breakage(faults.carries("b", "a"), r"b .*(has|carries|itself).*|by itself"),
    Breakage(
        faults.narrow_prefix("a"),
        r"a has [\d.]+/31 inside, the plan says [\d.]+/24",
    ),
    harmless(faults.busy("a")),
    harmless(faults.clock_wrong("a")),
    Breakage(
        faults.panicked("a"), r"\ba\b.*(panic|no sign of|does not answer|is not up)", never=DEAD
    ),
    Breakage(faults.powered_off("b"), B_ENDED, also=DRIFT),
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
    Breakage(faults.tap_mac("b"), rf"of b has the MAC {faults.OTHER_MAC}", also=DRIFT),
    Breakage(faults.tap_mtu("b"), r"MTU|1300", also=DRIFT),
    Breakage(faults.deaf_to_multicast("a", "b"), "ALLMULTI", also=DRIFT),
    Breakage(faults.tap_shared("b"), r"the tap of b .* is open in process \d+"),
    Breakage(faults.tap_deleted("b"), r"the macvtap mvt\w+ of b is gone", also=DRIFT),
    Breakage(faults.tap_drops("b"), filtered(r"egress of the macvtap \w+ of b")),
    Breakage(
        faults.tap_drops("b", "icmp type echo-reply drop"),
        filtered(r"egress of the macvtap \w+ of b"),
    ),
    Breakage(
        faults.tap_hides("b", "icmp type echo-request drop"),
        filtered(r"ingress of the macvtap \w+ of b"),
    ),
    Breakage(faults.link_impaired("its cable is pulled", "b", "down"), r"of b is down", also=DRIFT),
    Breakage(
        faults.link_impaired("it loses all frames", "b", "--loss", "100%"), r"impaired: loss 100%"
    ),
    Breakage(
        faults.link_impaired("it loses 30 % of its frames", "b", "--loss", "30%"),
        r"impaired: loss 30%",
    ),
    Breakage(faults.guard_gone("a"), "guard", also=DRIFT),
    Breakage(faults.guard_with("a", "ip protocol icmp drop"), "guard of a has a rule", also=DRIFT),
)
UPLINKS = (
    Breakage(faults.uplink_down(), r"the uplink \w+ is down", also=DRIFT),
    Breakage(faults.no_carrier(), r"the uplink \w+ has no carrier"),
    Breakage(faults.no_carrier("back"), r"the uplink \w+ has no carrier"),
    Breakage(faults.uplink_mtu(), r"1400", also=DRIFT),
    Breakage(faults.uplink_drops("ingress"), filtered("ingress of the uplink"), never=NOT_BEHIND),
    Breakage(faults.uplink_drops("egress"), filtered("egress of the uplink"), never=NOT_BEHIND),
    Breakage(
        faults.forgetting(faults.uplink_drops("ingress", "ether type arp drop")),
        filtered("ingress of the uplink"),
        never=NOT_BEHIND,
    ),
    Breakage(faults.host_has("b"), r"10\.90\.0\.\d+ of b is (used twice|taken)|this host has"),
)
LANS = (
    Breakage(
        faults.lan_drops("port security", "ether saddr != <nic mac> drop"),
        r"drops frames of MACs that it does not know",
    ),
    Breakage(faults.lan_drops("the switch drops all", "drop"), r"gateway|behind"),
    Breakage(
        faults.forgetting(faults.lan_drops("the switch drops ARP", "ether type arp drop")),
        r"who has 10\.90\.0\.254 has passed the uplink \w+, and no answer came back",
    ),
    Breakage(
        faults.forgetting(
            faults.lan_drops("the switch drops ND", "icmpv6 type nd-neighbor-solicit drop"), "a"
        ),
        r"gateway|behind|fd90::254",
    ),
    Breakage(
        faults.lan_drops("the switch loses 30 %", "numgen random mod 10 < 3 drop"),
        r"\d+ (%|of \d+).* lost|loss \d+",
    ),
    Breakage(
        faults.lan_drops("the switch drops frames above 600 bytes", "meta length > 600 drop"),
        r"packets of 1500 bytes from \w+ to gateway vanish|600",
    ),
    Breakage(
        faults.lan_drops("the switch mangles ICMP", "icmp type echo-request icmp id set 1"),
        r"gateway.* (mangle|change)|changed on the way",
    ),
    Breakage(
        faults.on_lan(
            "the MTU behind the NIC is 1400",
            "ip link set dev far mtu 1400",
            "ip link set dev far mtu 1500",
        ),
        r"packets of 1500 bytes from \w+ to gateway vanish|1400",
    ),
    Breakage(
        faults.on_lan(
            "the gateway has lost its address",
            "ip addr del 10.90.0.254/24 dev sw",
            "ip addr add 10.90.0.254/24 dev sw",
        ),
        r"10\.90\.0\.254.*(nobody has answered|behind nic)|gateway",
    ),
    Breakage(
        faults.on_lan(
            "the gateway ignores pings",
            "sysctl -qw net.ipv4.icmp_echo_ignore_all=1",
            "sysctl -qw net.ipv4.icmp_echo_ignore_all=0",
        ),
        r"gateway|10\.90\.0\.254.* behind nic",
        never=r"inside (a|b)\b|(a|b) (drops|keeps silent)",
    ),
    Breakage(
        faults.forgotten(faults.lan_has("a", "<ip a>")),
        r"10\.90\.0\.\d+ of a is used twice",
        also=r"it is \S+ that has the address there, not a",
    ),
    Breakage(
        faults.forgotten(
            faults.rival("a second machine has the gateway's address", "10.90.0.254/24")
        ),
        r"10\.90\.0\.254.*twice",
    ),
    Breakage(
        faults.rival("a machine on the LAN has b's MAC", "10.90.0.201/24", "<mac b>"),
        r"MAC.*(twice|too|another)",
    ),
    Breakage(
        faults.proxy_arp(),
        r"answers for addresses that are not its own \(proxy ARP\): .* of b",
        # Whose answer comes first is another one each time: the gateway's, too.
        also=r"sends what is for 10\.90\.0\.\d+ of \w+ to the MAC|did not reach \w+ at"
        r"|went to the MAC [0-9a-f:]+, which \w+ does not have|pings from \w+ to gateway were lost",
    ),
    # These guests have all their addresses from the plan, and listen to no router.
    harmless(faults.rogue_dnsmasq("a rogue DHCP server", "--dhcp-range=10.90.0.210,10.90.0.220")),
    harmless(
        faults.rogue_dnsmasq(
            "rogue router advertisements",
            "--enable-ra",
            "--dhcp-range=fd90:bad::,ra-only",
            "--ra-param=st,1,1800",
        )
    ),
    Breakage(
        faults.lan_drops("an outage until it is noticed", "drop").amid(),
        # It may begin amid somebody's pings.
        r"an outage that has passed|\d+ of \d+ pings from \w+ to \w+ were lost",
        passes=True,
    ),
)
HOSTS = (
    Breakage(
        faults.on_host(
            "a route of the host is stolen",
            Layer.HOST,
            "ip link add thief type veth peer name there; ip link set thief up; "
            "ip route prepend <ip b 1>/32 dev thief",
            "ip link del thief",
        ),
        r"route",
        also=DRIFT,
    ),
    Breakage(
        faults.on_host(
            "a neighbour entry of the host is wrong",
            Layer.HOST,
            f"ip neigh replace <ip b 1> lladdr {faults.OTHER_MAC} nud permanent dev <access>",
            "ip neigh del <ip b 1> dev <access>",
        ),
        r"neighbour|route|host",
    ),
    Breakage(
        faults.host_drops("the host's firewall drops pings", "input", "ip protocol icmp drop"),
        r"host",
        never=r"inside (a|b)\b",
    ),
)
SERVICES = (
    Breakage(
        faults.in_guest("nothing listens", "b", "true", layer=Layer.SERVICE),
        r"nothing listens there on tcp/5432",
        checks=("a -> b tcp/5432 ipv4",),
    ),
)
TABLE = (*GUESTS, *AGENTS, *TAPS, *UPLINKS, *LANS, *HOSTS, *SERVICES)

STAGES = ((opened, TABLE),)


@pytest.fixture(scope="module")
def stage(shared_lab: Lab) -> Iterator[Stage]:
    with opened(shared_lab) as made:
        yield made
        healthy(made)  # what a row leaves behind would be told in the next one's place


@pytest.mark.parametrize("breakage", TABLE, ids=str)
def test_a_breakage_is_told_by_its_cause(stage: Stage, breakage: Breakage) -> None:
    outcome = broken(stage, breakage)
    assert outcome.verdict is Verdict.RIGHT, str(outcome)
