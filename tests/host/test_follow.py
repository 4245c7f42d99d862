"""What a diagnosis looks at on a host: frames on their way, filters beside it, routes, counters."""

import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from provisioner.check import stack
from provisioner.check.evidence import Heading, Point, Sighting
from provisioner.host.guest import queries
from provisioner.host.netlink import addresses
from provisioner.host.network import nftables
from provisioner.host.probe import mesh
from provisioner.host.probe.trace import Trace
from provisioner.network.exchange import Exchange, FrameKind
from provisioner.network.nft_ruleset import DropChain
from tests.host.test_guest_probes import Shell
from tests.host.test_mesh import ask
from tests.host_tools.macvtap_lab import end, lab
from tests.host_tools.namespace import fresh_namespace, ip

FILTER = (
    "add table netdev bad; add chain netdev bad c {{ type filter hook {} device {} priority 0; }}"
)


def nft(script: str) -> None:
    subprocess.run(["nft", script], check=True, capture_output=True, timeout=10)


def traced(hook: str = "", device: str = "") -> set[tuple[Point, Heading]]:
    """Ask from one private macvtap for another behind a switch that reflects; where who-has was."""
    one, two = ends = [end(1), end(2)]
    with lab(ends, "vepa", hairpin=True):
        if hook:
            nft(FILTER.format(hook, device) + "; add rule netdev bad c drop")
        there = {Point.SOURCE: one.link, Point.UPLINK: "nic0", Point.TARGET: two.link}
        with Trace(there, Exchange(one.mac, two.address)) as trace:
            mesh.answered([ask(one, two)], 0.3)
    kind = FrameKind.WHO_HAS
    return {(x.point, x.heading) for x in trace.followed.sightings if x.kind is kind}


LEFT = {(Point.SOURCE, Heading.OUT)}
ON_THE_WIRE = LEFT | {(Point.UPLINK, Heading.OUT)}
REFLECTED = ON_THE_WIRE | {(Point.UPLINK, Heading.IN)}
ARRIVED = REFLECTED | {(Point.TARGET, Heading.IN)}


@pytest.mark.parametrize(
    ("hook", "device", "seen"),
    [
        ("", "", ARRIVED),
        ("egress", "tap1", set()),
        ("egress", "nic0", LEFT),
        ("ingress", "nic0", REFLECTED),
        ("ingress", "tap2", ARRIVED),  # it is seen before the filter takes it
    ],
)
def test_a_frame_is_seen_before_a_filter_as_it_comes_in_and_not_at_one_that_it_leaves_by(
    hook: str, device: str, seen: set[tuple[Point, Heading]]
) -> None:
    assert traced(hook, device) == seen


def test_answers_are_seen_at_both_ends() -> None:
    one, two = ends = [end(1), end(2)]
    with lab(ends, "bridge"):
        there = {Point.SOURCE: one.link, Point.TARGET: two.link}
        with Trace(there, Exchange(one.mac, two.address)) as trace:
            mesh.answered([ask(one, two)], 0.3)
    assert Sighting(Point.TARGET, Heading.OUT, FrameKind.IS_AT) in trace.followed.sightings
    assert Sighting(Point.SOURCE, Heading.IN, FrameKind.IS_AT) in trace.followed.sightings


def test_chains_that_drop_at_a_device_are_listed_and_others_are_not() -> None:
    with fresh_namespace():
        ip("link add nic0 type veth peer name far", "link set nic0 up")
        nft(FILTER.format("ingress", "nic0") + "; add rule netdev bad c ip saddr 10.0.0.1 drop")
        nft(
            FILTER.format("egress", "nic0").replace("bad", "well")
            + "; add rule netdev well c accept"
        )
        nft(
            "add table inet filter; "
            "add chain inet filter f { type filter hook input priority 0; policy drop; }"
        )
        assert nftables.drop_chains() == (
            DropChain("nic0", "ingress", "netdev bad", "c", "ip saddr 10.0.0.1 drop"),
        )


def test_the_way_to_an_address_is_the_kernels_own_choice() -> None:
    with fresh_namespace():
        ip(
            "link add nic0 type veth peer name nic1",
            "link set nic0 up",
            "link set nic1 up",
            "addr add 10.0.0.9/24 dev nic0",
            "route add 10.0.0.3/32 dev nic1",
            "route add blackhole 10.0.0.4/32",
            "addr add fd00::9/64 dev nic0 nodad",
        )
        ways = [addresses.way_to(ip_address(x)) for x in ("10.0.0.2", "10.0.0.3", "fd00::2")]
        assert ways == ["nic0", "nic1", "nic0"]
        nowhere = [addresses.way_to(ip_address(x)) for x in ("10.0.0.4", "192.0.2.1", "fd99::1")]
        assert nowhere == ["nowhere"] * 3


def test_a_guests_kernel_tells_what_it_has_taken_and_what_its_rules_drop() -> None:
    with fresh_namespace():
        before = queries.counters(Shell(), "02:00:00:00:00:01", "127.0.0.1")
        subprocess.run(
            ["ping", "-c", "2", "-i", "0.1", "127.0.0.1"], check=True, capture_output=True
        )
        taken = queries.counters(Shell(), "02:00:00:00:00:01", "127.0.0.1")
        Path("/proc/sys/net/ipv4/icmp_echo_ignore_all").write_text("1")
        nft(
            "add table inet f; add chain inet f in { type filter hook input priority 0; }; "
            "add rule inet f in icmp type echo-request drop"
        )
        subprocess.run(
            ["ping", "-c", "1", "-W", "0.2", "127.0.0.1"], check=False, capture_output=True
        )
        dropped = queries.counters(Shell(), "02:00:00:00:00:01", "192.0.2.1")

    def grown(name: str, one: stack.StackReading, two: stack.StackReading) -> int:
        return two.numbers[name] - one.numbers[name]

    assert (grown("Icmp.InEchos", before, taken), grown("Icmp.OutEchoReps", before, taken)) == (
        2,
        2,
    )
    assert grown("Icmp.InEchos", taken, dropped) == 0
    assert grown("Ip.InReceives", taken, dropped) >= 1
    assert (before.drops, before.ignores_pings, dropped.ignores_pings) == ((), False, True)
    assert dropped.drops == ("icmp type echo-request drop",)
    assert before.route.startswith("local 127.0.0.1 dev lo")
    assert "unreachable" in dropped.route
