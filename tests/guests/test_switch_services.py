"""A switch with everything: it reflects, translates addresses, and a dnsmasq answers there."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import Lab, until
from tests.framework.plan import PlanUp, brought_up
from tests.framework.wire import CabledNic, cabled_nic
from tests.host_tools.router import PREFIX, advertisement

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
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    """The host's way out: a NIC, and a machine behind it that is its router."""
    lab = shared_lab
    with cabled_nic(
        lab, "10.99.0.254/24", "fd99::254/64", host=("10.99.0.1/24", "fd99::1/64")
    ) as made:
        lab.ip("route", "add", "default", "via", OUTSIDE[0])
        lab.ip("-6", "route", "add", "default", "via", OUTSIDE[1])
        yield made


@pytest.fixture(scope="module")
def plan_text(wire: CabledNic) -> str:
    del wire
    return PLAN


def test_vepa_guests_reach_each_other_through_the_reflecting_bridge(plan_up: PlanUp) -> None:
    pings = [r for r in plan_up.report["results"] if r["asked"] == "ping"]
    reached = {(r["from"], r["to"], ":" in r["address"]) for r in pings if r["to"] != "outside"}
    ends = ("a", "b", "host")
    assert reached == {(x, y, six) for x in ends for y in ends if x != y for six in (False, True)}
    assert {r["observed"] for r in plan_up.report["results"]} == {"reaches"}


def test_each_guest_has_a_cell_for_a_name_and_for_the_way_out(plan_up: PlanUp) -> None:
    name = plan_up.path.stem
    cells = {(r["from"], r["to"], r["asked"], r["address"]) for r in plan_up.report["results"]}
    out = {(vm, "outside", "ping", there) for vm in ("a", "b") for there in OUTSIDE}
    names = {("a", "host", f"dns b.{name}", ""), ("b", "host", f"dns a.{name}", "")}
    assert {c for c in cells if c[1] == "outside" or c[2] != "ping"} == out | names
    assert plan_up.report["chosen"]["NAT of lab"]["value"] == f"asked of {', '.join(OUTSIDE)}"


def test_each_guest_has_the_lease_that_the_plan_foretold(plan_up: PlanUp) -> None:
    foretold = {vm["name"]: vm["addresses"] for vm in plan_up.report["vms"]}
    for vm in ("a", "b"):
        shown = plan_up.inside(vm, "ip -o -4 addr show scope global")
        assert [f" {address} " in shown for address in foretold[vm]] == [True]


def test_a_lease_that_is_missing_has_its_red_cells(plan_up: PlanUp) -> None:
    cells = plan_up.report["results"]
    four = next(address for address in plan_up.addresses("a") if ":" not in address)
    plan_up.inside("a", "ip -4 addr flush dev eth0")
    try:
        report = plan_up.check(status=5)
    finally:
        again = f"ip addr add {four}/24 dev eth0; ip route replace default via 10.79.0.1"
        plan_up.inside("a", again)
    assert len(report["results"]) == len(cells)
    pings = [r for r in report["results"] if r["asked"] == "ping"]
    observed = {(r["from"], r["to"]): r["observed"] for r in pings if not r["address"]}
    assert observed == {("b", "a"): "no DHCP lease", ("host", "a"): "no DHCP lease"}
    red = [r for r in report["results"] if r["finding"]]
    assert {(r["from"], r["to"]) for r in red} == {
        *(("b", "a"), ("host", "a"), ("a", "b"), ("a", "host"), ("a", "outside"))
    }
    server = "vmnet's own DHCP server (dnsmasq) on network lab"
    said = f"a has no DHCP lease; it should get one from {server}"
    assert {r["finding"]["what"] for r in red} == {said}
    assert not any("--recreate" in r["finding"]["fix"] for r in red)


def test_a_second_up_does_nothing(plan_up: PlanUp) -> None:
    assert "\nnothing to do\n" in plan_up.up().stderr


def test_guests_know_each_other_by_name(plan_up: PlanUp) -> None:
    (address,) = plan_up.addresses("b")
    for name in ("b", f"b.{plan_up.path.stem}"):
        assert f"Address: {address}\n" in plan_up.inside("a", f"nslookup -type=a {name}")


@pytest.mark.parametrize("there", OUTSIDE)
def test_a_guest_gets_out_and_the_world_does_not_get_in(
    wire: CabledNic, plan_up: PlanUp, there: str
) -> None:
    assert "2 packets received" in plan_up.inside("a", f"ping -c 2 -W 5 {there}")
    six = ":" in there
    assert ", 0 received" in _from_the_lan(wire, plan_up, six=six)()


def _from_the_lan(wire: CabledNic, plan: PlanUp, *, six: bool) -> Callable[[], str]:
    """Return what pings a guest from the LAN, by a route that somebody there may well set."""
    route, host = ("fd79::/64", "fd99::1") if six else ("10.79.0.0/24", "10.99.0.1")
    wire.outside("ip", "-6" if six else "-4", "route", "replace", route, "via", host)
    shown = plan.inside("a", "ip -o addr show scope global")
    inside = next(w.partition("/")[0] for w in shown.split() if "/" in w and (":" in w) == six)
    ping = f"ping -n -c 2 -i 0.3 -W 1 {inside} || true"
    return lambda: wire.outside("sh", "-c", ping)


def test_what_a_reload_of_the_firewall_opens_a_watch_closes_at_once_and_logs_stay_short(
    wire: CabledNic, plan_restored: PlanUp
) -> None:
    plan, lab = plan_restored, plan_restored.lab
    pinged = _from_the_lan(wire, plan, six=False)
    lab.run("nft", "flush", "ruleset")
    assert ", 2 received" in pinged(), "so it is without a watch"
    assert not _guarded(lab)
    log = lab.root / "var/lib/vmnet" / plan.path.stem / "console/a.log"
    with log.open("ab") as file:
        file.write(b"without end\n" * (3 << 19))
    watch = lab.start("watch", plan.path)
    try:
        until(lambda: _guarded(lab), "it begins with a look")
        until(lambda: log.stat().st_size < 1 << 20, "its log is cut short")
        for _ in range(5):
            lab.run("nft", "flush", "ruleset")
            until(lambda: _guarded(lab), f"all is put back: {watch.stdout}", within_s=6)
        assert ", 0 received" in pinged()
        until(lambda: "again and again" in watch.stdout, "it tells that it waits longer")
    finally:
        watch.process.send_signal(signal.SIGINT)
        told = watch.finished(130).stdout
    put_back = re.findall(r"(?m)^\d\d:\d\d:\d\d (\w+) .* was gone, and is put back$", told)
    assert sorted(put_back) == ["guard"] * 12 + ["nat"] * 6


def _guarded(lab: Lab) -> bool:
    rules = lab.run("nft", "list", "ruleset")
    return (rules.count("table netdev "), rules.count("masquerade")) == (2, 2)


def test_a_nic_with_two_queues_has_them_in_the_guest_and_in_qemu(plan_up: PlanUp) -> None:
    shown = plan_up.inside("b", "ls /sys/class/net/eth0/queues")
    assert shown.split() == ["rx-0", "rx-1", "tx-0", "tx-1"]
    qemu = plan_up.qemus[f"{plan_up.path.stem}-b"]
    taps = {plan_up.lab.node(index).stat().st_rdev for index in plan_up.taps.values()}
    opened = [_number(fd) for fd in Path(f"/proc/{qemu}/fd").iterdir()]
    assert sum(number in taps for number in opened) == 2


def test_what_the_host_has_lost_turns_the_check_red(plan_restored: PlanUp) -> None:
    # Forwarding that is off, and each of these alone: test_breakages_switch.
    dnsmasq = f"[c]onf-file=/var/lib/vmnet/{plan_restored.path.stem}/dhcp/"
    plan_restored.lab.run("sh", "-c", f"nft flush ruleset; kill $(pgrep -f {dnsmasq})")
    findings = plan_restored.check(status=5)["findings"]
    lost = [f["what"] for f in findings if f["fix"] == "run vmnet up, or take the change back"]
    for what in ("create nat ", "dhcp lab"):
        assert any(
            said.startswith("the host is not as the plan says; vmnet up would ") and what in said
            for said in lost
        ), findings
    plan_restored.up()
    assert plan_restored.check(status=0)["findings"] == []


def unmet(report: Any) -> set[tuple[str, str, str]]:  # noqa: ANN401  (JSON)
    return {(r["from"], r["to"], r["asked"]) for r in report["results"] if not r["as_expected"]}


def test_forwarding_that_somebody_else_drops_is_seen_by_the_way_out(
    plan_up: PlanUp, wire: CabledNic
) -> None:
    rules = "add table inet shut; add chain inet shut f { type filter hook forward priority 0; }"
    shut = f"oifname {wire.name} meta l4proto {{ icmp, icmpv6 }} drop"
    plan_up.lab.run("nft", f"{rules}; add rule inet shut f {shut}")
    try:
        report = plan_up.check(status=5)
    finally:
        plan_up.lab.run("nft", "delete table inet shut")
    assert unmet(report) == {(vm, "outside", "ping") for vm in ("a", "b")}


def test_a_name_that_resolves_to_another_address_is_seen(
    plan_up: PlanUp, wire: CabledNic, tmp_path: Path
) -> None:
    """By a resolver of somebody else's, whom guest a has been told to ask."""
    name = plan_up.path.stem
    pid = tmp_path / "pid"
    words = ("--conf-file=/dev/null", "--no-hosts", "--no-resolv", f"--pid-file={pid}", "--user=")
    wire.outside("dnsmasq", *words, f"--local=/{name}/", f"--host-record=b.{name},10.9.9.9")
    plan_up.inside("a", "cp /etc/resolv.conf /tmp/kept")
    try:
        plan_up.inside("a", f"echo nameserver {OUTSIDE[0]} > /etc/resolv.conf")
        report = plan_up.check(status=5)
    finally:
        plan_up.inside("a", "cat /tmp/kept > /etc/resolv.conf")
        wire.outside("kill", pid.read_text().strip())
    (found,) = [r["finding"] for r in report["results"] if not r["as_expected"]]
    (address,) = plan_up.addresses("b")
    said = f"a does not resolve b.{name}: its resolver says 10.9.9.9, and not {address}"
    assert found["what"] == said


def test_a_guest_that_serves_dhcp_is_seen(plan_up: PlanUp) -> None:
    conf = "interface eth0\\nstart 10.79.0.240\\nend 10.79.0.250\\nlease_file /tmp/leases"
    plan_up.inside("b", f"touch /tmp/leases; printf '{conf}\\n' > /tmp/udhcpd.conf")
    plan_up.inside("b", "udhcpd /tmp/udhcpd.conf")
    try:
        (found,) = plan_up.check(status=5)["findings"]
    finally:
        plan_up.inside("b", "kill $(pidof udhcpd)")
    assert found["what"].startswith("another DHCP server is on mvl")
    assert found["what"].endswith(" (b)")
    assert found["evidence"][0].startswith("DHCP server 10.79.0.")


def test_a_guest_that_advertises_itself_as_a_router_is_seen(plan_up: PlanUp) -> None:
    mac = plan_up.inside("b", "cat /sys/class/net/eth0/address").strip()
    frame = advertisement(mac=mac).hex()
    sender = (
        "import socket, sys, threading\n"
        "wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)\n"
        "wire.bind((sys.argv[1], 0))\n"
        "while not threading.Event().wait(0.1):\n"
        "    wire.send(bytes.fromhex(sys.argv[2]))\n"
    )
    argv = [*plan_up.lab.enter, sys.executable, "-c", sender, plan_up.tap("b"), frame]
    with subprocess.Popen(argv) as sending:
        try:
            (found,) = plan_up.check(status=5)["findings"]
        finally:
            sending.kill()
    assert found["what"].startswith("another router advertises itself on mvl")
    assert found["what"].endswith(f": {mac} (b) with {PREFIX}")


def test_down_puts_forwarding_back(lab: Lab) -> None:
    switches = tuple(f"/proc/sys/net/{x}" for x in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"))
    plan = brought_up(lab, PLAN.partition("  b: ")[0])
    before = lab.run("cat", *switches).split()
    done = lab.vmnet("down", plan.path, "--json").report
    assert (before, lab.run("cat", *switches).split()) == (["1", "1"], ["0", "0"])
    assert done["to_do"] == []


def _number(fd: Path) -> int:
    try:
        return fd.stat().st_rdev
    except OSError:
        return 0  # it was closed meanwhile
