"""What changes under guests that run: modes, addresses, cards; same devices, same QEMUs."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.framework.lab import Lab, until

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


@pytest.fixture(scope="module")
def plan(shared_lab: Lab) -> Path:
    path = shared_lab.plan(PLAN)
    shared_lab.vmnet("up", path)
    return path


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


def test_answers_follow_the_mode_within_a_second(shared_lab: Lab, plan: Path) -> None:
    lab = shared_lab
    before = (lab.macvtaps(), lab.qemus())
    b = next(n for n in lab.macvtaps() if lab.ip("link", "show", n).find("-b-0") > 0)
    address = address_of(lab, plan, "b")
    ping = f"ping -i 0.1 -c 900 -W 1 {address} > /dev/null 2>&1 &"
    lab.vmnet("exec", "-f", plan, "a", "--", "sh", "-c", ping)
    with listening(lab, "-i", b, "icmp[icmptype] == icmp-echoreply") as heard:
        changed: list[tuple[str, float]] = []
        for mode in ("private", "bridge", "vepa", "bridge"):
            running = lab.start("up", plan, "--set", f"networks.lan.mode={mode}")
            running.says("update macvtap")
            changed.append((mode, time.time()))
            running.finished(0)
            until(lambda: time.time() > changed[-1][1] + 2 * WITHIN_S, "silence has lasted")
        end = time.time()
        heard.terminate()
        assert heard.stdout
        times = [float(line.split()[0]) for line in heard.stdout if line[:1].isdigit()]
    starts = [at for _, at in changed]
    for (mode, start), stop in zip(changed, [*starts[1:], end], strict=True):
        heard_then = [t for t in times if start + WITHIN_S < t < stop - WITHIN_S / 2]
        assert bool(heard_then) == (mode == "bridge"), (mode, changed, times)
        # The line that tells of a change comes a moment after it.
        first = min((t for t in times if t > start - 0.2), default=end)
        assert mode != "bridge" or first < start + WITHIN_S, (mode, changed, times)
    assert (lab.macvtaps(), lab.qemus()) == before


def test_cards_and_addresses_come_and_go_under_running_guests(shared_lab: Lab, plan: Path) -> None:
    lab = shared_lab
    taps, qemus = lab.macvtaps(), lab.qemus()
    plan.write_text(f"name: {lab.name}\n{MORE}")
    report = lab.vmnet("up", plan, "--json").report
    assert {r["address"] for r in report["results"] if r["to"] == "b"} >= {"10.77.0.99"}
    assert ("a", "b", "dmz") in {(r["from"], r["to"], r["network"]) for r in report["results"]}
    assert all(r["as_expected"] for r in report["results"])
    assert lab.qemus() == qemus
    assert taps.items() <= lab.macvtaps().items()
    assert len(lab.macvtaps()) == 4
    shown = lab.vmnet("exec", "-f", plan, "b", "--", "ip", "link", "show", "eth0").stdout
    assert " mtu 1400 " in shown
    assert "\nnothing to do\n" in lab.vmnet("up", plan).stderr
    plan.write_text(f"name: {lab.name}\n{PLAN}")
    report = lab.vmnet("up", plan, "--json").report
    assert all(r["as_expected"] for r in report["results"])
    assert (lab.macvtaps(), lab.qemus()) == (taps, qemus)
    shown = lab.vmnet("exec", "-f", plan, "b", "--", "ip", "link").stdout
    assert (re.findall(r"(eth\d)", shown), " mtu 1500 " in shown) == (["eth0"], True)


def test_a_dhcp_server_is_replaced_under_guests_that_run(shared_lab: Lab, plan: Path) -> None:
    """Told a gateway, or given a card, a guest changes together with its network's server."""
    lab = shared_lab
    qemus = lab.qemus()
    text = """\
networks:
  lan: {{switch: {{dhcp: true, nat: {nat}}}, subnet: 10.77.0.0/24, addressing: static}}
vms: {{a: {{nics: {nics}}}, b: {{nics: [lan]}}}}
"""
    for nat, nics in (("false", "[lan]"), ("true", "[lan]"), ("true", "[lan, lan]")):
        plan.write_text(f"name: {lab.name}\n{text.format(nat=nat, nics=nics)}")
        done = lab.vmnet("up", plan, "--json").report["done"]
        assert [s for s in done if s.startswith("create dhcp lan")], done
        assert "\nnothing to do\n" in lab.vmnet("up", plan).stderr
    assert lab.qemus() == qemus
    plan.write_text(f"name: {lab.name}\n{PLAN}")
    lab.vmnet("up", plan)
    assert lab.qemus() == qemus


def test_a_cable_is_pulled_out_and_put_back(shared_lab: Lab, plan: Path) -> None:
    lab = shared_lab
    cut = ("--set", "vms.a.nics.0.link=down")
    report = lab.vmnet("up", plan, *cut, "--json").report
    found = {(r["from"], r["to"]): r["observed"] for r in report["results"]}
    assert {found[pair] for pair in found if "a" in pair} == {"no answer"}
    assert found["b", "host"] == "reaches"
    assert report["status"] == 0
    assert lab.vmnet("up", plan, "--json").report["status"] == 0


def test_passthru_needs_a_restart_and_says_so(shared_lab: Lab, plan: Path) -> None:
    text = plan.read_text()
    plan.write_text(text.replace(", b: {nics: [lan]}", ""))
    lab = shared_lab
    lab.vmnet("up", plan)
    change = ("--set", "networks.lan.mode=passthru")
    refused = lab.vmnet("up", plan, *change, status=3)
    assert 'VM "a" runs and would have to be started anew' in refused.stderr
    report = lab.vmnet("up", plan, *change, "--recreate", "--json").report
    assert (report["status"], lab.modes()) == (0, {"passthru"})
    quiet = ("--set", "networks.lan.promisc=false")
    report = lab.vmnet("up", plan, *change, *quiet, "--json").report
    assert [step.partition(": ")[2] for step in report["done"]] == [
        "it makes the uplink promiscuous"
    ]


def address_of(lab: Lab, plan: Path, vm: str) -> str:
    status = lab.vmnet("status", plan, "--json").report
    return next(
        str(one["addresses"][0].partition("/")[0]) for one in status["vms"] if one["name"] == vm
    )
