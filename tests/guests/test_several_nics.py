"""Guests with several NICs on one network: each NIC is measured by itself.

As Linux has it by default, such a guest answers on each of its NICs for all of its addresses, and
keeps those of a NIC that is down; so it goes on answering pings, and only the frames show that a
NIC is dead. The micro image lets each NIC answer for its own addresses alone.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.framework.lab import Lab
from tests.framework.plan import PlanUp
from tests.framework.wire import CabledNic, cabled_nic

PLAN = """\
networks:
  lan:
    uplink: {uplink}
    subnet: [10.91.0.0/24, "fd91::/64"]
    gateway: [10.91.0.254, "fd91::254"]
  own: {{switch: true, subnet: 10.92.0.0/24}}
vms:
  a:
    memory: 96M
    nics:
      - {{network: lan, address: [10.91.0.11, "fd91::11"]}}
      - {{network: lan, address: [10.91.0.12, "fd91::12"]}}
      - {{network: own, address: 10.92.0.11}}
      - {{network: own, address: 10.92.0.12}}
  b:
    memory: 96M
    nics:
      - {{network: lan, address: [10.91.0.21, "fd91::21"]}}
      - {{network: own, address: 10.92.0.21}}
hosts: {{nas: 10.91.0.254}}
"""
UP_AGAIN = """\
echo 0 > /proc/sys/net/ipv6/conf/eth1/accept_dad
ip link set eth1 up
ip addr add fd91::12/64 dev eth1
"""
DEAD = "a.1 itself does not answer ARP/ND"


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    with cabled_nic(shared_lab, "10.91.0.254/24", "fd91::254/64") as made:
        yield made


@pytest.fixture(scope="module")
def plan_text(wire: CabledNic) -> str:
    return PLAN.format(uplink=wire.name)


def answering(plan: PlanUp, ignore: int, announce: int) -> None:
    """Let both guests answer ARP as these settings of the kernel have it."""
    for vm in ("a", "b"):
        conf = "/proc/sys/net/ipv4/conf/all"
        plan.inside(vm, f"echo {ignore} > {conf}/arp_ignore; echo {announce} > {conf}/arp_announce")
        plan.inside(vm, "ip neigh flush dev eth0; ip neigh flush dev eth1")


@pytest.fixture
def by_any_nic(plan_up: PlanUp) -> Iterator[PlanUp]:
    """The plan with guests that answer on every NIC for all addresses."""
    answering(plan_up, 0, 0)
    yield plan_up
    answering(plan_up, 1, 2)


def asked(report: Any) -> set[tuple[str, str]]:  # noqa: ANN401  (JSON)
    """Return all ends that were measured."""
    return {(r["from"], r["to"]) for r in report["results"]}


def red(report: Any) -> dict[tuple[str, str, str], str]:  # noqa: ANN401  (JSON)
    """Return what was noted of each measurement that is not as expected."""
    return {
        (r["from"], r["to"], r["address"]): str(r["note"])
        for r in report["results"]
        if not r["as_expected"]
    }


def is_about(report: Any, nic: str) -> bool:  # noqa: ANN401  (JSON)
    """Return whether all measurements of a NIC are red, and no others."""
    about = {(r["from"], r["to"], r["address"]) for r in report["results"]}
    return set(red(report)) == {ends for ends in about if nic in ends}


@pytest.mark.parametrize("arp", [(0, 0), (1, 2)])
def test_each_nic_is_measured_by_itself_and_none_with_its_own_guest(
    plan_up: PlanUp, arp: tuple[int, int]
) -> None:
    answering(plan_up, *arp)
    try:
        report = plan_up.check(status=0)
    finally:
        answering(plan_up, 1, 2)
    nics = {"a.0", "a.1", "a.2", "a.3"}
    expected = {(nic, "b") for nic in nics} | {("b", nic) for nic in nics}
    expected |= {("host", nic) for nic in nics} | {("a.2", "host"), ("a.3", "host")}
    expected |= {("a.0", "gateway"), ("b", "gateway")}  # the first NIC has it
    expected |= {("a.0", "nas"), ("a.1", "nas"), ("b", "nas")}
    assert asked(report) == expected | {("host", "b"), ("b", "host")}
    assert not report["findings"]


def test_a_second_nic_that_is_down_inside(by_any_nic: PlanUp) -> None:
    by_any_nic.inside("a", "ip link set eth1 down")
    try:
        report = by_any_nic.check(status=5)
    finally:
        by_any_nic.inside("a", UP_AGAIN)
    assert is_about(report, "a.1"), red(report)
    assert red(report)["b", "a.1", "10.91.0.12"].startswith(DEAD)
    assert red(report)["a.1", "b", "10.91.0.21"].startswith(DEAD)
    assert red(report)["a.1", "nas", "10.91.0.254"].startswith((DEAD, "no answer to ping"))
    found = {r["finding"]["what"] for r in report["results"] if r["finding"]}
    assert len(found) == 1
    assert "inside a the interface with" in found.pop()
    by_any_nic.check(status=0)


def test_the_macvtap_of_a_second_nic_that_is_down(plan_up: PlanUp) -> None:
    (taps,) = (vm["taps"] for vm in plan_up.report["vms"] if vm["name"] == "a")
    name = next(name for name, index in plan_up.taps.items() if taps[1] == f"/dev/tap{index}")
    plan_up.lab.ip("link", "set", name, "down")
    try:
        report = plan_up.check(status=5)
    finally:
        plan_up.lab.ip("link", "set", name, "up")
    assert is_about(report, "a.1"), red(report)
    found = {r["finding"]["what"] for r in report["results"] if r["finding"]}
    assert found == {f"the macvtap {name} of a is down"}


def test_a_guest_that_has_the_address_of_another_reaches_only_itself(plan_up: PlanUp) -> None:
    plan_up.inside("b", "ip addr add 10.91.0.11/32 dev lo")
    try:
        report = plan_up.check(status=5)
    finally:
        plan_up.inside("b", "ip addr del 10.91.0.11/32 dev lo")
    itself = "b has 10.91.0.11 itself: what it sends there never leaves it"
    assert red(report)["b", "a.0", "10.91.0.11"] == itself
    assert not {("b", "a.1", "10.91.0.12"), ("a.1", "b", "10.91.0.21")} & set(red(report))
