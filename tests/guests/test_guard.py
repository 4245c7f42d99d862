"""A guest that forges frames: what leaves it with the guard off, at mac, and strict."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.framework.lab import Lab, until
from tests.framework.plan import PlanUp

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms: {a: {nics: [lan]}, b: {nics: [{network: lan, address: 10.77.0.99}]}}
"""
FORGED_MAC, FORGED_IP = "02:00:00:00:66:66", "10.77.0.66"
SPEAK = """\
set -e
nic=eth0
own=$(cat /sys/class/net/$nic/address)
arping -c 2 -w 3 -I $nic 10.77.0.99 > /dev/null || true
ip addr add 10.77.0.66/24 dev $nic
arping -c 2 -w 3 -s 10.77.0.66 -I $nic 10.77.0.99 > /dev/null || true
ping -c 2 -W 1 -I 10.77.0.66 10.77.0.99 > /dev/null || true
ip addr del 10.77.0.66/24 dev $nic
ip link set dev $nic down; ip link set dev $nic address 02:00:00:00:66:66; ip link set dev $nic up
arping -U -c 2 -w 3 -I $nic 10.77.0.99 > /dev/null || true
arping -c 2 -w 3 -I $nic 10.77.0.99 > /dev/null || true
ip link set dev $nic down; ip link set dev $nic address $own; ip link set dev $nic up
"""


@contextmanager
def captured(lab: Lab, device: str, into: list[str]) -> Iterator[None]:
    """Collect a line for each ARP and ICMP frame on a device."""
    argv = [*lab.enter, "tcpdump", "-e", "-l", "-n", "--immediate-mode", "-i", device]
    said = subprocess.PIPE
    with subprocess.Popen(
        [*argv, "arp or icmp"], stdout=said, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        assert process.stdout
        while not process.stderr.readline().startswith("listening"):
            assert process.poll() is None
        try:
            yield
        finally:
            process.terminate()
            into += process.stdout.readlines()


@pytest.mark.parametrize(
    ("guard", "mac_passes", "ip_passes"),
    [("off", True, True), ("mac", False, True), ("strict", False, False)],
)
def test_what_a_guest_forges_reaches_wire_and_sibling_only_where_it_may(
    plan_restored: PlanUp,
    guard: str,
    mac_passes: bool,  # noqa: FBT001
    ip_passes: bool,  # noqa: FBT001
) -> None:
    plan, lab = plan_restored, plan_restored.lab
    with guarded(plan, guard):
        _forges(plan, lab, mac_passes=mac_passes, ip_passes=ip_passes)


@contextmanager
def guarded(plan: PlanUp, guard: str) -> Iterator[None]:
    """Have the plan itself say its guard: each command puts back one that is gone."""
    text = plan.path.read_text()
    changed = text.replace("switch: true", f"switch: true, spoof_guard: {guard}")
    assert changed != text
    plan.path.write_text(changed)
    try:
        plan.up()
        yield
    finally:
        plan.path.write_text(text)


def _forges(plan: PlanUp, lab: Lab, *, mac_passes: bool, ip_passes: bool) -> None:
    shown = lab.ip("-o", "link")
    sibling = next(n for n in lab.macvtaps() if "-b-0" in lab.ip("link", "show", n))
    wire = re.findall(r"\d+: (mvh[0-9a-f]+)@", shown)[0]
    on_wire: list[str] = []
    at_sibling: list[str] = []
    with captured(lab, wire, on_wire), captured(lab, sibling, at_sibling):
        plan.inside("a", SPEAK)
    own = plan.inside("a", "cat /sys/class/net/eth0/address").strip()
    for heard in (on_wire, at_sibling):
        assert any(f" {own} > " in line for line in heard), "own frames pass"
        assert any(f"{FORGED_MAC} > " in line for line in heard) == mac_passes
        assert any(f"tell {FORGED_IP}" in line for line in heard) == ip_passes
    pinged = [line for line in at_sibling if f"{FORGED_IP} > 10.77.0.99: ICMP echo req" in line]
    assert bool(pinged) == ip_passes
    assert plan.as_at_first


def tables(lab: Lab) -> list[str]:
    """Return nft's tables, whatever came first."""
    return sorted(re.split(r"(?m)^(?=table )", lab.run("nft", "--stateless", "list", "ruleset")))


def test_a_reload_of_the_firewall_is_told_and_mended(plan_restored: PlanUp) -> None:
    plan, lab = plan_restored, plan_restored.lab
    before = tables(lab)
    watch = lab.start("status", plan.path, "--watch", "--every", "600")
    try:
        until(lambda: "a: running" in watch.stdout, f"it has looked: {watch.stdout}")
        lab.run("nft", "flush", "ruleset")
        until(lambda: "up would: create guard of a.lan: missing" in watch.stdout, "it tells")
    finally:
        watch.process.send_signal(signal.SIGINT)
        watch.finished(130)
    told = lab.vmnet("status", plan.path, status=5)
    assert "is gone while guests run" in told.stdout + told.stderr
    assert lab.run("nft", "list", "ruleset") == ""
    plan.run("exec", "a", "--", "true")
    assert tables(lab) == before
    lab.vmnet("status", plan.path)


def test_a_guard_that_somebody_has_taken_away_is_put_back(plan_restored: PlanUp) -> None:
    plan, lab = plan_restored, plan_restored.lab
    table = re.findall(r"table netdev (\S+)", lab.run("nft", "list", "ruleset"))[0]
    lab.run("nft", "delete", "table", "netdev", table)
    report = plan.up("--json").report
    assert [step.partition(" of ")[0] for step in report["done"]] == ["create guard"]
    assert table in lab.run("nft", "list", "ruleset")
