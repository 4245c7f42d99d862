"""Each thing that can break, broken on purpose: the check names it, and gives a fix.

All on running plans; each test undoes what it has done to them, and they are as promised again.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import Lab
from tests.framework.plan import PlanUp, SharedPlan, brought_up
from tests.framework.terminal import typed
from tests.framework.wire import CabledNic, cabled_nic

LAN = ("10.90.0.254", "fd90::254")
OTHER_MAC = "02:00:00:00:66:66"
ON_A_NIC = """\
networks:
  lan:
    uplink: {uplink}
    subnet: [10.90.0.0/24, "fd90::/64"]
    pool: 10.90.0.10-10.90.0.99
    gateway: 10.90.0.254
    spoof_guard: strict
vms:
  a: {{memory: 96M, nics: [lan]}}
  b: {{memory: 96M, nics: [lan]}}
  p: {{memory: 96M, nics: [{{network: lan, mode: private}}]}}
  q: {{memory: 96M, nics: [{{network: lan, mode: private}}]}}
"""
REFLECTED = """\
networks: {lan: {switch: {hairpin: true}, subnet: 10.78.0.0/24, mode: vepa}}
vms: {v: {memory: 96M, nics: [lan]}, w: {memory: 96M, nics: [lan]}}
"""


@dataclass(frozen=True, slots=True)
class Four:
    """The plan on a NIC, whose devices and guests stay, and the NIC."""

    plan: PlanUp
    wire: CabledNic

    @property
    def lab(self) -> Lab:
        return self.plan.lab


def said(report: Any) -> list[str]:  # noqa: ANN401  (JSON)
    """Return every sentence about what is wrong, each once."""
    found = [r["finding"]["what"] for r in report["results"] if r["finding"]]
    return list(dict.fromkeys([*found, *(f["what"] for f in report["findings"])]))


def about(report: Any, source: str, target: str, version: int = 4) -> str:  # noqa: ANN401  (JSON)
    """Return what is said of one pair; "" when it is as promised."""
    for r in report["results"]:
        if (r["from"], r["to"], 6 if ":" in r["address"] else 4) == (source, target, version):
            return str(r["finding"]["what"]) if r["finding"] else ""
    raise AssertionError((source, target, report["results"]))


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    with cabled_nic(shared_lab, f"{LAN[0]}/24", f"{LAN[1]}/64") as made:
        yield made


@pytest.fixture(scope="module")
def plan_text(wire: CabledNic) -> str:
    """Two bridge guests and two private ones on a NIC."""
    return ON_A_NIC.format(uplink=wire.name)


@pytest.fixture
def four(plan_up: PlanUp, wire: CabledNic) -> Four:
    return Four(plan_up, wire)


@pytest.fixture(scope="module")
def behind_a_switch(shared_lab: Lab) -> Iterator[PlanUp]:
    """Two vepa guests behind a switch of vmnet's own that sends frames back."""
    plan = SharedPlan(shared_lab, REFLECTED, "r")
    yield plan.up()
    plan.end()


def test_nothing_is_said_while_nothing_is_broken(four: Four) -> None:
    report = four.plan.check(status=0)
    assert said(report) == []
    cells = {(r["from"], r["to"]): r["observed"] for r in report["results"]}
    assert cells["a", "b"] == cells["a", "gateway"] == cells["p", "gateway"] == "reaches"
    assert cells["p", "q"] == cells["p", "a"] == cells["host", "a"] == "no answer"


def test_an_uplink_that_is_down(four: Four) -> None:
    four.lab.ip("link", "set", four.wire.name, "down")
    try:
        report = four.plan.check(status=5)
    finally:
        four.lab.ip("link", "set", four.wire.name, "up")
    assert about(report, "a", "b") == about(report, "a", "gateway")
    assert re.search(rf"uplink {four.wire.name} is down", about(report, "a", "b"))


def test_a_switch_that_lets_no_foreign_mac_pass(four: Four) -> None:
    """Port security, as hypervisors and clouds have it."""
    own = four.lab.run("cat", f"/sys/class/net/{four.wire.name}/address").strip()
    four.wire.outside(
        "nft",
        "add table bridge port; add chain bridge port in "
        "{ type filter hook prerouting priority 0; }; "
        f"add rule bridge port in ether saddr != {own} drop",
    )
    try:
        report = four.plan.check(status=5)
    finally:
        four.wire.outside("nft", "delete table bridge port")
    assert about(report, "a", "b") == ""
    assert re.search("MAC", about(report, "a", "gateway"))


def test_an_address_that_a_machine_on_the_lan_has_too(four: Four) -> None:
    taken = four.plan.addresses("a")[0]
    four.wire.outside("ip", "addr", "add", f"{taken}/32", "dev", "sw")
    try:
        report = four.plan.check(status=5)
    finally:
        four.wire.outside("ip", "addr", "del", f"{taken}/32", "dev", "sw")
    assert any(taken in x and "twice" in x and four.wire.mac() in x for x in said(report))
    # Whom p reaches is the other machine; what it means for a is that its answers go there.
    assert f"it is {four.wire.mac()} that has the address" in about(report, "p", "a")
    assert f"{taken} of a is used twice" in about(report, "a", "gateway")
    assert not any("not found" in x or "nobody has answered" in x for x in said(report))


def test_a_guest_that_uses_another_mac(four: Four) -> None:
    own = four.plan.inside("b", "cat /sys/class/net/eth0/address").strip()
    wear = (
        "cd /; ip link set dev eth0 down; ip link set dev eth0 address {}; ip link set dev eth0 up"
    )
    four.plan.inside("b", wear.format(OTHER_MAC))
    try:
        report = four.plan.check(status=5)
    finally:
        four.plan.inside("b", wear.format(own))
        restore_ipv6(four.plan, "b")
    assert OTHER_MAC in about(report, "a", "b")
    assert own in about(report, "a", "b")


def test_a_guest_whose_interface_is_down(four: Four) -> None:
    four.plan.inside("b", "ip link set dev eth0 down")
    try:
        report = four.plan.check(status=5)
    finally:
        four.plan.inside("b", "ip link set dev eth0 up")
        restore_ipv6(four.plan, "b")
    assert re.search(r"\bb\b.*down", about(report, "a", "b"))


def test_a_firewall_inside_a_guest(four: Four) -> None:
    four.plan.inside("b", "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all")
    try:
        report = four.plan.check(status=5)
    finally:
        four.plan.inside("b", "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all")
    assert about(report, "a", "b") == "b ignores pings: icmp_echo_ignore_all is 1 inside it"
    assert about(report, "b", "a") == ""


def test_macvtaps_that_hear_no_multicast(four: Four) -> None:
    """Each learns the other's MAC from a question of the other's: so both have to be deaf."""
    for vm in ("a", "b"):
        four.lab.ip("link", "set", "dev", four.plan.tap(vm), "allmulticast", "off")
    try:
        # Whoever is forgotten first may hear of itself again, until the other has forgotten it too.
        for vm in ("a", "b", "a"):
            four.plan.inside(vm, "ip -6 neigh flush dev eth0")
        report = four.plan.check(status=5)
    finally:
        for vm in ("a", "b"):
            four.lab.ip("link", "set", "dev", four.plan.tap(vm), "allmulticast", "on")
    assert about(report, "a", "b") == ""
    assert re.search("ALLMULTI", about(report, "a", "b", 6))


def test_a_tap_that_another_process_reads_too(four: Four) -> None:
    index = four.plan.taps[four.plan.tap("b")]
    held = os.open(four.lab.node(index), os.O_RDWR | os.O_NONBLOCK)
    try:
        report = four.plan.check(status=5)
    finally:
        os.close(held)
    program = Path("/proc/self/comm").read_text().strip()
    assert any(f"{os.getpid()} ({program}) too" in x for x in said(report))


def test_frames_lost_at_random(four: Four) -> None:
    four.plan.run("link", "b", "--loss", "60%")
    try:
        report = four.plan.check("--set", 'checks=["a -> b loss < 1%"]', status=5)
    finally:
        four.plan.run("link", "b", "--clear")
    assert re.search("lost|loss", about(report, "a", "b"))


def test_frames_that_somebody_else_loses_at_random(four: Four) -> None:
    """On the wire, say: here by a rule that is not vmnet's, on the way to the guest."""
    device = four.plan.tap("b")
    hook = f"type filter hook egress device {device} priority 0"
    rule = "icmp type echo-reply numgen random mod 2 < 1 drop"
    four.lab.run("nft", f"add table netdev bad; add chain netdev bad out {{ {hook}; }}")
    four.lab.run("nft", f"add rule netdev bad out {rule}")
    try:
        report = four.plan.check("--set", 'checks=["a -> b loss < 1% ipv4"]', status=5)
    finally:
        four.lab.run("nft", "delete table netdev bad")
    assert re.match(r"\d+ of 50 pings from a to b were lost", about(report, "a", "b"))


def test_an_mtu_of_1400_behind_the_nic(four: Four) -> None:
    line = 'checks=["a -> gateway mtu 1500 ipv4"]'
    four.plan.check("--set", line, status=0)
    four.wire.outside("ip", "link", "set", "dev", "far", "mtu", "1400")
    try:
        report = four.plan.check("--set", line, status=5)
    finally:
        four.wire.outside("ip", "link", "set", "dev", "far", "mtu", "1500")
    sentence = r"packets of 1500 bytes from a to gateway vanish, 140\d bytes still pass"
    assert re.match(sentence, about(report, "a", "gateway"))


def test_an_mtu_of_1400_in_the_middle(four: Four) -> None:
    """The kernel then clamps the macvtaps too; the guests know nothing of it."""
    four.lab.ip("link", "set", "dev", four.wire.name, "mtu", "1400")
    try:
        report = four.plan.check(status=5)
    finally:
        four.lab.ip("link", "set", "dev", four.wire.name, "mtu", "1500")
        four.plan.up()
    assert re.search("1400", about(report, "a", "b"))


def test_a_guest_whose_frames_the_guard_drops(four: Four) -> None:
    own = four.plan.addresses("a")[0]
    four.plan.inside("a", f"ip addr del {own}/24 dev eth0; ip addr add 10.90.0.66/24 dev eth0")
    try:
        report = four.plan.check(status=5)
    finally:
        four.plan.inside("a", f"ip addr del 10.90.0.66/24 dev eth0; ip addr add {own}/24 dev eth0")
        four.plan.inside("a", "ip route replace default via 10.90.0.254")
    assert re.search("guard", about(report, "a", "b"))


def test_a_private_pair_that_is_made_to_leak(four: Four) -> None:
    for vm in ("p", "q"):
        mode = ("type", "macvtap", "mode", "bridge")
        four.lab.ip("link", "set", "dev", four.plan.tap(vm), *mode)
    try:
        report = four.plan.check(status=5)
    finally:
        four.plan.up()
    assert re.search("bridge", about(report, "p", "q"))
    assert re.search("private", about(report, "p", "q"))


def test_a_switch_of_vmnets_own_that_stops_reflecting(behind_a_switch: PlanUp) -> None:
    lab = behind_a_switch.lab
    port = re.findall(r"\d+: (\w+)@.*hairpin on", lab.ip("-o", "-d", "link"))[0]
    lab.ip("link", "set", port, "type", "bridge_slave", "hairpin", "off")
    try:
        report = behind_a_switch.check(status=5)
    finally:
        lab.ip("link", "set", port, "type", "bridge_slave", "hairpin", "on")
    assert re.search("hairpin|sends? frames back|reflect", about(report, "v", "w"))


def test_a_guest_whose_agent_is_dead(lab: Lab) -> None:
    plan = brought_up(lab, REFLECTED)
    typed(lab, plan.path, "w", "kill -STOP $(pidof qemu-ga)")
    report = plan.check(status=5)
    assert any(re.search(r"^w: its guest agent does not answer", x) for x in said(report))
    seen = {(r["from"], r["to"]): (r["observed"], r["by"]) for r in report["results"]}
    assert seen["v", "w"] == ("reaches", "inside the guest")
    assert seen["w", "v"] == ("reaches", "at its macvtap")


def restore_ipv6(plan: PlanUp, vm: str) -> None:
    """Return a guest back the static IPv6 addresses that it lost with its link."""
    for address in plan.addresses(vm):
        if ":" in address:
            plan.inside(vm, f"ip addr add {address}/64 dev eth0 2> /dev/null || true")
