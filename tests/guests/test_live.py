"""What changes under guests that run: modes, addresses, NICs; same devices, same QEMUs."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.framework.lab import Lab, until
from tests.framework.plan import PlanUp, brought_up

PLAN = """\
networks:
  lan: {switch: true, subnet: [10.77.0.0/24, "fd77::/64"]}
vms: {a: {nics: [lan]}, b: {nics: [lan]}}
"""
MORE = """\
networks:
  lan: {switch: true, subnet: [10.77.0.0/24, "fd77::/64"]}
  dmz: {switch: true, subnet: 10.78.0.0/24}
vms: {a: {nics: [lan, dmz]}, b: {nics: [{network: lan, address: 10.77.0.99, mtu: 1400}, dmz]}}
"""
WITHIN_S = 1.0


@contextmanager
def listening(lab: Lab, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Let tcpdump print a line for each frame that it sees, with the time in seconds."""
    argv = [*lab.enter, "tcpdump", "-l", "-n", "-tt", "--immediate-mode", *words]
    said = subprocess.PIPE
    with subprocess.Popen(argv, stdout=said, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("listening"):
                break
        try:
            yield process
        finally:
            process.terminate()


def test_answers_follow_the_mode_within_a_second(plan_restored: PlanUp) -> None:
    plan, lab = plan_restored, plan_restored.lab
    address = plan.addresses("b")[0]
    # Until the last mode has been listened to, however long four commands take.
    plan.inside("a", f"ping -i 0.1 -c 9000 -W 1 {address} > /dev/null 2>&1 &")
    with listening(lab, "-i", plan.tap("b"), "icmp[icmptype] == icmp-echoreply") as heard:
        changed: list[tuple[str, float]] = []
        asked: list[float] = []
        for mode in ("private", "bridge", "vepa", "bridge"):
            asked.append(time.time())
            running = lab.start("up", plan.path, "--set", f"networks.lan.mode={mode}")
            running.says("update macvtap")
            changed.append((mode, time.time()))
            running.finished(0)
            until(lambda: time.time() > changed[-1][1] + 2 * WITHIN_S, "silence has lasted")
        end = time.time()
        plan.inside("a", "kill $(pidof ping)")
        heard.terminate()
        assert heard.stdout
        times = [float(line.split()[0]) for line in heard.stdout if line[:1].isdigit()]
    # A mode is changed after it was asked for, and before the line that tells of it.
    for (mode, start), stop in zip(changed, [*asked[1:], end], strict=True):
        # What b was asked before is answered late where its processor has to wait.
        begin = start + WITHIN_S if mode == "bridge" else max(start, stop - WITHIN_S)
        heard_then = [t for t in times if begin < t < stop]
        assert bool(heard_then) == (mode == "bridge"), (mode, changed, times)
        # The line that tells of a change comes a moment after it.
        first = min((t for t in times if t > start - 0.2), default=end)
        assert mode != "bridge" or first < start + WITHIN_S, (mode, changed, times)
    assert plan.as_at_first


def test_nics_and_addresses_come_and_go_under_running_guests(plan_restored: PlanUp) -> None:
    plan, lab = plan_restored, plan_restored.lab
    plan.write(MORE)
    report = plan.up("--json").report
    assert {r["address"] for r in report["results"] if r["to"] == "b"} >= {"10.77.0.99"}
    assert ("a", "b", "dmz") in {(r["from"], r["to"], r["network"]) for r in report["results"]}
    assert all(r["as_expected"] for r in report["results"])
    assert lab.qemus() == plan.qemus
    assert plan.taps.items() <= lab.macvtaps().items()
    assert len(lab.macvtaps()) == 4
    shown = plan.inside("b", "ip link show eth0")
    assert " mtu 1400 " in shown
    assert "\nnothing to do\n" in plan.up().stderr
    plan.write(PLAN)
    report = plan.up("--json").report
    assert all(r["as_expected"] for r in report["results"])
    assert plan.as_at_first
    shown = plan.inside("b", "ip link")
    assert (re.findall(r"(eth\d)", shown), " mtu 1500 " in shown) == (["eth0"], True)


def test_a_dhcp_server_is_replaced_under_guests_that_run(plan_restored: PlanUp) -> None:
    """Told a gateway, or given a NIC, a guest changes together with its network's server."""
    plan, lab = plan_restored, plan_restored.lab
    text = """\
networks:
  lan: {{switch: {{dhcp: true, nat: {nat}}}, subnet: 10.77.0.0/24, addressing: static}}
vms: {{a: {{nics: {nics}}}, b: {{nics: [lan]}}}}
"""
    for nat, nics in (("false", "[lan]"), ("true", "[lan]"), ("true", "[lan, lan]")):
        plan.write(text.format(nat=nat, nics=nics))
        done = plan.up("--json").report["done"]
        assert [s for s in done if s.startswith("create dhcp lan")], done
        assert "\nnothing to do\n" in plan.up().stderr
    assert lab.qemus() == plan.qemus
    plan.write(PLAN)
    plan.up()
    assert lab.qemus() == plan.qemus


def test_a_cable_is_pulled_out_and_put_back(plan_restored: PlanUp) -> None:
    report = plan_restored.up("--set", "vms.a.nics.0.link=down", "--json").report
    found = {(r["from"], r["to"]): r["observed"] for r in report["results"]}
    assert {found[pair] for pair in found if "a" in pair} == {"no answer"}
    assert found["b", "host"] == "reaches"
    assert report["status"] == 0
    assert plan_restored.up("--json").report["status"] == 0


def test_passthru_needs_a_restart_and_says_so(lab: Lab) -> None:
    plan = brought_up(lab, PLAN.replace(", b: {nics: [lan]}", ""))
    change = ("--set", "networks.lan.mode=passthru")
    refused = plan.up(*change, status=3)
    assert 'VM "a" runs and would have to be started anew' in refused.stderr
    report = plan.up(*change, "--recreate", "--json").report
    assert (report["status"], lab.modes()) == (0, {"passthru"})
    quiet = ("--set", "networks.lan.promisc=false")
    report = plan.up(*change, *quiet, "--json").report
    assert [step.partition(": ")[2] for step in report["done"]] == [
        "it makes the uplink promiscuous"
    ]
