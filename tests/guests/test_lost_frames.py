"""Frames that are lost somewhere on their way: the place is named, and nobody who has not dropped.

All on a running plan; each test undoes what it has done to it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.framework.lab import Lab, until
from tests.framework.plan import PlanUp, brought_up
from tests.framework.terminal import typed
from tests.framework.wire import CabledNic, cabled_nic
from tests.guests.test_broken import about, said

PLAN_ON = """\
networks:
  lan: {{uplink: {uplink}, subnet: 10.91.0.0/24, pool: 10.91.0.10-10.91.0.99, gateway: 10.91.0.254}}
vms:
  a: {{memory: 96M, nics: [lan]}}
  b: {{memory: 96M, nics: [lan]}}
"""
SWITCHED = """\
networks: {lan: {switch: {hairpin: true}, subnet: 10.79.0.0/24, mode: vepa}}
vms: {v: {memory: 96M, nics: [lan]}, w: {memory: 96M, nics: [lan]}}
"""


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    with cabled_nic(shared_lab, "10.91.0.254/24") as made:
        yield made


@pytest.fixture(scope="module")
def plan_text(wire: CabledNic) -> str:
    """Two bridge guests on a NIC."""
    return PLAN_ON.format(uplink=wire.name)


@contextmanager
def dropping(lab: Lab, hook: str, device: str, what: str = "") -> Iterator[None]:
    """Drop frames at a side of a device by a table that is not vmnet's."""
    chain = f"type filter hook {hook} device {device} priority 0"
    lab.run("nft", f"add table netdev bad; add chain netdev bad c {{ {chain}; }}")
    lab.run("nft", f"add rule netdev bad c {what} drop")
    try:
        yield
    finally:
        lab.run("nft", "delete table netdev bad")


def blamed(report: Any) -> str:  # noqa: ANN401  (JSON)
    """Return all sentences as one text, in which nobody's firewall may stand."""
    text = "\n".join(said(report))
    assert "firewall" not in text, text
    return text


@pytest.mark.parametrize("hook", ["egress", "ingress"])
def test_frames_that_a_filter_drops_at_the_uplink(
    plan_up: PlanUp, wire: CabledNic, hook: str
) -> None:
    with dropping(plan_up.lab, hook, wire.name):
        report = plan_up.check(status=5)
    for vm in ("a", "b"):
        assert about(report, vm, "gateway") == (
            f"the nftables chain c of table netdev bad drops frames at the {hook} of the uplink "
            f"{wire.name}"
        )
    # Unicast between macvtaps in mode bridge is received by the uplink on its way.
    between = about(report, "a", "b")
    assert between == "" if hook == "egress" else "chain c of table netdev bad" in between
    blamed(report)


def test_pings_that_a_filter_drops_at_a_macvtap_never_were_the_guests(plan_up: PlanUp) -> None:
    with dropping(plan_up.lab, "ingress", plan_up.tap("b"), "icmp type echo-request"):
        report = plan_up.check(status=5)
    sentence = about(report, "a", "b")
    assert sentence == (
        "the nftables chain c of table netdev bad drops frames at the ingress of the macvtap "
        f"{plan_up.tap('b')} of b"
    )
    blamed(report)


def test_an_outage_that_has_passed_is_told_with_its_times(plan_up: PlanUp, wire: CabledNic) -> None:
    """It ends between the measurement and the look for the reason."""
    wire.outside(
        "nft",
        "add table bridge bad; add chain bridge bad c { type filter hook prerouting priority 0; }; "
        "add rule bridge bad c drop",
    )
    try:
        check = plan_up.lab.start("check", plan_up.path, "--json")
        check.says("not everything is as expected")
    finally:
        wire.outside("nft", "delete table bridge bad")
    report = check.finished(5).report
    time = r"\d\d:\d\d:\d\d"
    passed = rf"a did not reach gateway at {time}(-{time})?; it does now \(asked again at {time}\)"
    assert re.match(passed, about(report, "a", "gateway"))
    blamed(report)


def test_a_guest_that_ignores_pings_has_taken_them(plan_up: PlanUp) -> None:
    plan_up.inside("b", "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all")
    try:
        report = plan_up.check(status=5)
    finally:
        plan_up.inside("b", "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all")
    assert about(report, "a", "b") == "b ignores pings: icmp_echo_ignore_all is 1 inside it"
    (finding,) = {
        tuple(r["finding"]["evidence"])
        for r in report["results"]
        if (r["from"], r["to"]) == ("a", "b")
    }
    assert any(re.search(r"b has counted: .* questions taken [1-9]", line) for line in finding)


def test_a_guest_without_a_way_back_is_told_its_route(plan_up: PlanUp) -> None:
    a = plan_up.addresses("a")[0]
    plan_up.inside("b", f"ip route add blackhole {a}/32")
    try:
        report = plan_up.check(status=5)
    finally:
        plan_up.inside("b", f"ip route del blackhole {a}/32")
    assert re.match(r"b has no way back to a: ", about(report, "a", "b"))
    assert re.match(rf"b has no way to {a}: ", about(report, "b", "a"))
    blamed(report)


def test_a_machine_that_answers_for_a_guest_gets_its_packets(
    plan_up: PlanUp, wire: CabledNic
) -> None:
    """Proxy ARP: the LAN's machine answers for what it has a route to by another device."""
    b = plan_up.addresses("b")[0]
    wire.outside("ip", "link", "add", "px", "type", "veth", "peer", "name", "py")
    wire.outside("ip", "link", "set", "px", "up")
    wire.outside("ip", "route", "add", f"{b}/32", "dev", "px")
    wire.outside("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/sw/proxy_arp")
    wire.outside("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/sw/forwarding")
    wire.outside("sh", "-c", "echo 0 > /proc/sys/net/ipv4/neigh/sw/proxy_delay")
    plan_up.inside("a", "ip neigh flush dev eth0")
    try:
        report = plan_up.check(status=5)  # the gateway itself has lost b
    finally:
        wire.outside("ip", "link", "del", "px")
        wire.outside("sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/sw/proxy_arp")
        plan_up.inside("a", "ip neigh flush dev eth0")
    sentence = about(report, "a", "b")  # "" when b was faster each time
    assert not sentence or re.search(rf"{wire.mac()}|it does now", sentence), sentence
    blamed(report)


def test_messages_that_are_changed_on_the_lan(plan_up: PlanUp, wire: CabledNic) -> None:
    """The identifier of an answer is another one: nobody takes it for the answer to his ping."""
    wire.outside(
        "nft",
        "add table bridge bad; add chain bridge bad c { type filter hook output priority 0; }; "
        "add rule bridge bad c icmp type echo-reply icmp id set 48879",
    )
    try:
        report = plan_up.check(status=5)
    finally:
        wire.outside("nft", "delete table bridge bad")
    assert "is changed on the way" in about(report, "a", "gateway")
    blamed(report)


def test_a_route_of_the_host_that_was_taken_over(lab: Lab) -> None:
    plan = brought_up(lab, SWITCHED)
    v = plan.addresses("v")[0]
    lab.ip("route", "add", "blackhole", f"{v}/32")
    try:
        report = plan.check(status=5)
    finally:
        lab.ip("route", "del", "blackhole", f"{v}/32")
    assert f"this host's route to {v} of v leaves by nowhere" in blamed(report)
    assert about(report, "v", "w") == ""


def test_a_guest_whose_kernel_has_panicked_is_dead_and_has_no_firewall(lab: Lab) -> None:
    plan = brought_up(lab, SWITCHED)
    typed(lab, plan.path, "w", "(sleep 2; echo c > /proc/sysrq-trigger) & true")
    console = plan.home / "console" / "w.log"
    until(lambda: b"Kernel panic" in console.read_bytes(), "the kernel has panicked")
    report = plan.check(status=5)
    text = blamed(report)
    (dead,) = [one for one in said(report) if "w" in one.split()]
    assert re.match(r"w is not up: .*; its console says: Kernel panic - not syncing", dead), text
    fixes = [r["finding"]["fix"] for r in report["results"] if r["finding"]]
    assert not any("vmnet exec w" in fix for fix in fixes)
