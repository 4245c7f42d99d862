"""A switch with everything: it reflects, translates addresses, and a dnsmasq answers there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import Lab
from tests.framework.wire import Card, card

PLAN = """\
networks:
  lab:
    switch: {hairpin: true, nat: true, dhcp: true}
    mode: vepa
    subnet: [10.79.0.0/24, "fd79::/64"]
vms:
  a: {nics: [lab]}
  b: {cpus: 2, nics: [{network: lab, queues: 2}]}
"""
OUTSIDE = ("10.99.0.254", "fd99::254")


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[Card]:
    """The host's way out: a card, and a machine behind it that is its router."""
    lab = shared_lab
    with card(lab, "10.99.0.254/24", "fd99::254/64", host=("10.99.0.1/24", "fd99::1/64")) as made:
        lab.ip("route", "add", "default", "via", OUTSIDE[0])
        lab.ip("-6", "route", "add", "default", "via", OUTSIDE[1])
        yield made


@pytest.fixture(scope="module")
def plan(shared_lab: Lab, wire: Card) -> Iterator[Path]:
    del wire
    with shared_lab.settled():
        yield shared_lab.plan(PLAN)


@pytest.fixture(scope="module")
def report(shared_lab: Lab, plan: Path) -> Any:  # noqa: ANN401  (JSON)
    return shared_lab.vmnet("up", plan, "--json").report


def test_vepa_guests_reach_each_other_through_the_reflecting_bridge(report: Any) -> None:  # noqa: ANN401
    reached = {(r["from"], r["to"], ":" in r["address"]) for r in report["results"]}
    ends = ("a", "b", "host")
    assert reached == {(x, y, six) for x in ends for y in ends if x != y for six in (False, True)}
    assert {r["observed"] for r in report["results"]} == {"reaches"}


def test_each_guest_has_the_lease_that_the_plan_foretold(
    shared_lab: Lab,
    plan: Path,
    report: Any,  # noqa: ANN401
) -> None:
    foretold = {vm["name"]: vm["addresses"] for vm in report["vms"]}
    for vm in ("a", "b"):
        words = ("exec", "-f", plan, vm, "--", "ip", "-o", "-4", "addr", "show", "scope", "global")
        assert [f" {address} " in shared_lab.vmnet(*words).stdout for address in foretold[vm]] == [
            True
        ]


@pytest.mark.usefixtures("report")
def test_a_second_up_does_nothing(shared_lab: Lab, plan: Path) -> None:
    assert "\nnothing to do\n" in shared_lab.vmnet("up", plan).stderr


def test_guests_know_each_other_by_name(shared_lab: Lab, plan: Path, report: Any) -> None:  # noqa: ANN401
    (address,) = (vm["addresses"][0] for vm in report["vms"] if vm["name"] == "b")
    for name in ("b", f"b.{shared_lab.name}"):
        ran = shared_lab.vmnet("exec", "-f", plan, "a", "--", "nslookup", "-type=a", name)
        assert f"Address: {address.partition('/')[0]}\n" in ran.stdout


@pytest.mark.usefixtures("report")
@pytest.mark.parametrize("there", OUTSIDE)
def test_a_guest_gets_out_and_the_world_does_not_get_in(
    shared_lab: Lab, wire: Card, plan: Path, there: str
) -> None:
    ping = ("ping", "-c", "2", "-W", "5", there)
    ran = shared_lab.vmnet("exec", "-f", plan, "a", "--", *ping)
    assert "2 packets received" in ran.stdout
    six = ":" in there
    route, host = ("fd79::/64", "fd99::1") if six else ("10.79.0.0/24", "10.99.0.1")
    wire.outside("ip", "-6" if six else "-4", "route", "replace", route, "via", host)
    words = ("exec", "-f", plan, "a", "--", "ip", "-o", "addr", "show", "scope", "global")
    shown = shared_lab.vmnet(*words).stdout
    inside = next(w.partition("/")[0] for w in shown.split() if "/" in w and (":" in w) == six)
    assert "0 received" in wire.outside("sh", "-c", f"ping -n -c 2 -i 0.3 -W 1 {inside} || true")


@pytest.mark.usefixtures("report")
def test_a_card_with_two_queues_has_them_in_the_guest_and_in_qemu(
    shared_lab: Lab, plan: Path
) -> None:
    ran = shared_lab.vmnet("exec", "-f", plan, "b", "--", "ls", "/sys/class/net/eth0/queues")
    assert ran.stdout.split() == ["rx-0", "rx-1", "tx-0", "tx-1"]
    qemu = shared_lab.qemus()[f"{shared_lab.name}-b"]
    taps = {shared_lab.node(index).stat().st_rdev for index in shared_lab.macvtaps().values()}
    opened = [_number(fd) for fd in Path(f"/proc/{qemu}/fd").iterdir()]
    assert sum(number in taps for number in opened) == 2


@pytest.mark.usefixtures("report")
def test_down_puts_forwarding_back(shared_lab: Lab, plan: Path) -> None:
    switches = tuple(f"/proc/sys/net/{x}" for x in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"))
    before = shared_lab.run("cat", *switches).split()
    done = json.loads(shared_lab.vmnet("down", plan, "--json").stdout)
    assert (before, shared_lab.run("cat", *switches).split()) == (["1", "1"], ["0", "0"])
    assert done["to_do"] == []


def _number(fd: Path) -> int:
    try:
        return fd.stat().st_rdev
    except OSError:
        return 0  # it was closed meanwhile
