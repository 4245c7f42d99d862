"""What stands around the cells turns the check red, though every cell may be as it should be."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.framework.lab import Lab
from tests.framework.plan import PlanUp
from tests.framework.wire import CabledNic, cabled_nic

PLAN = """\
networks:
  lan:
    uplink: {uplink}
    subnet: 10.95.0.0/24
    pool: 10.95.0.10-10.95.0.99
    gateway: 10.95.0.254
vms:
  a: {{memory: 96M, nics: [{{network: lan, mode: private}}]}}
  b: {{memory: 96M, nics: [{{network: lan, mode: private}}]}}
"""
OTHER = "02:00:00:00:66:66"
APART = "checks=[a -/> b, b -/> a]"


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    with cabled_nic(shared_lab, "10.95.0.254/24") as made:
        yield made


@pytest.fixture(scope="module")
def plan_text(wire: CabledNic) -> str:
    """Two private guests on a NIC."""
    return PLAN.format(uplink=wire.name)


def told(report: Any) -> list[str]:  # noqa: ANN401  (JSON)
    assert all(finding["evidence"] for finding in report["findings"])
    return [finding["what"] for finding in report["findings"]]


def test_nothing_is_told_of_while_all_is_well(plan_up: PlanUp) -> None:
    report = plan_up.check()
    assert (report["findings"], report["warnings"]) == ([], [])


def test_an_uplink_without_carrier(plan_up: PlanUp, wire: CabledNic) -> None:
    wire.outside("ip", "link", "set", "far", "down")
    try:
        report = plan_up.check("--set", APART, status=5)
    finally:
        wire.outside("ip", "link", "set", "far", "up")
    assert f"the uplink {wire.name} has no carrier: nothing is at the other end of its cable" in (
        told(report)
    )


def test_a_link_that_vmnet_link_impairs(plan_up: PlanUp) -> None:
    plan_up.run("link", "a", "--loss", "1%")
    try:
        report = plan_up.check("--set", APART, status=5)
    finally:
        plan_up.run("link", "a", "--clear")
    assert told(report) == ["the link of a is impaired: loss 1%, set by vmnet link"]
    assert report["findings"][0]["fix"] == "take it away: vmnet link a.0 --clear"


@contextmanager
def rival(wire: CabledNic, mac: str, address: str) -> Iterator[None]:
    """Have another machine on the LAN, `r1`, with that MAC and address."""
    pair = ("r0", "type", "veth", "peer", "name", "r1", "address", mac)
    wire.outside("ip", "link", "add", *pair)
    try:
        wire.outside("ip", "link", "set", "r0", "master", "sw", "up")
        # It does not answer for the addresses of the machine that it is a part of here.
        wire.outside("sysctl", "-qw", "net.ipv4.conf.r1.arp_ignore=1")
        wire.outside("ip", "link", "set", "r1", "up")
        wire.outside("ip", "addr", "add", f"{address}/32", "dev", "r1")
        yield
    finally:
        wire.outside("ip", "link", "del", "r0")


@contextmanager
def running(wire: CabledNic, *argv: str) -> Iterator[None]:
    """Run a program on the machine on the LAN until the block ends."""
    words = ["ip", "netns", "exec", wire.lan, *argv]
    program = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
        assert program.poll() is None
    finally:
        program.kill()
        program.wait()


def test_a_second_machine_with_the_gateways_address(plan_up: PlanUp, wire: CabledNic) -> None:
    with rival(wire, OTHER, "10.95.0.254"):
        report = plan_up.check(status=5)
    (said,) = [what for what in told(report) if "10.95.0.254" in what]
    assert said.startswith("10.95.0.254 of the gateway is used twice: ")
    macs = re.findall(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", said)
    assert OTHER in macs, said
    assert len(set(macs)) == 2, said


def test_the_mac_of_a_guest_elsewhere_on_the_lan(plan_up: PlanUp, wire: CabledNic) -> None:
    mac = plan_up.inside("a", "cat /sys/class/net/eth0/address").strip()
    with rival(wire, mac, "10.95.0.201"):
        wire.outside("ip", "route", "add", "10.95.0.202", "dev", "r1", "src", "10.95.0.201")
        # By default it asks once a second, and the wire is listened to for no longer than that.
        wire.outside("sysctl", "-qw", "net.ipv4.neigh.r1.retrans_time_ms=100")
        with running(wire, "ping", "-n", "-q", "-i", "0.2", "10.95.0.202"):
            report = plan_up.check(status=5)
    what = f"the MAC {mac} of a is used elsewhere too: frames from it come in by {wire.name}"
    (found,) = [each for each in report["findings"] if each["what"] == what]
    assert f"came in by {wire.name} from {mac}: ARP of 10.95.0.201" in found["evidence"]


def test_a_router_that_answers_for_everybody(plan_up: PlanUp, wire: CabledNic) -> None:
    switches = ("net.ipv4.ip_forward", "net.ipv4.conf.sw.proxy_arp_pvlan")
    wire.outside("sysctl", "-qw", *(f"{each}=1" for each in switches))
    try:
        report = plan_up.check(status=5)
    finally:
        wire.outside("sysctl", "-qw", *(f"{each}=0" for each in switches))
    (said,) = [what for what in told(report) if "proxy ARP" in what]
    assert said.startswith(f"{wire.mac()} answers for addresses that are not its own (proxy ARP): ")
    # In one guest's name the other's address is asked for.
    assert any(f"{plan_up.addresses(vm)[0]} of {vm}" in said for vm in ("a", "b"))


def test_an_address_of_a_guests_outside_the_subnet_and_one_of_another_guests(
    plan_up: PlanUp,
) -> None:
    of_a = plan_up.addresses("a")[0]
    for added in ("10.66.0.7/24", f"{of_a}/32"):
        plan_up.inside("b", f"ip addr add {added} dev eth0")
    try:
        report = plan_up.check(status=5)
    finally:
        for added in ("10.66.0.7/24", f"{of_a}/32"):
            plan_up.inside("b", f"ip addr del {added} dev eth0")
    said = told(report)
    assert "b has the address 10.66.0.7, which is outside the plan's subnet 10.95.0.0/24" in said
    assert [what for what in said if what.startswith(f"{of_a} of a is used twice: ")]
