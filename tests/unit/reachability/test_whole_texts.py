"""What is promised and explained of two plans, whole: pairs.txt and explanations.txt.

The MACs and names of devices are derived: in the texts they stand as MAC and DEVICE.
"""

import re
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.network.addressing import assign
from provisioner.network.facts import Facts
from provisioner.plan.load.loader import load
from provisioner.reachability.explain import explain
from provisioner.reachability.explain_text import as_mermaid, as_text
from provisioner.reachability.pairs import pairs
from tests.builders.pairs import written

HERE = Path(__file__).parent
PAIRS = """\
name: lab
networks:
  lan: {uplink: nic0, subnet: 10.0.0.0/24}
  met: {uplink: nic1, subnet: 10.1.0.0/24, host_access: 10.1.0.1}
  own: {switch: {hairpin: true, dhcp: true}, subnet: 10.2.0.0/24}
  far: {switch: true, subnet: 10.3.0.0/24, mode: vepa}
  lent: {granted: lent, subnet: 10.5.0.0/24}
  bare: {switch: true, addressing: none}
vms:
  a:
    nics:
      - {network: lan, address: 10.0.0.11}
      - {network: met, address: 10.1.0.11}
      - own
      - bare
  b:
    nics:
      - {network: lan, address: 10.0.0.12, mode: vepa}
      - {network: met, address: 10.1.0.12, link: down}
  c:
    nics:
      - {network: own, mode: private, address: 10.2.0.13}
      - {network: far, address: 10.3.0.13}
      - {network: lan, address: 10.0.0.13, mode: source, allow: [vm:a]}
  d:
    nics:
      - {network: far, address: 10.3.0.14, mode: source, allow: [host]}
      - {network: lent, address: 10.5.0.14}
      - {network: lan, address: 10.0.0.14}
      - {network: lan, address: 10.0.0.15, mode: private}
  e: {nics: [{network: lent, address: 10.5.0.15}]}
"""
EXPLAINED = """\
name: lab
networks:
  lan: {uplink: nic0, subnet: 10.0.0.0/24, gateway: 10.0.0.1}
  met: {uplink: nic1, subnet: 10.1.0.0/24, host_access: 10.1.0.1}
  own: {switch: true, subnet: 10.2.0.0/24}
  all: {uplink: nic2, subnet: 10.3.0.0/24, mode: passthru}
vms:
  bridge1: {nics: [lan]}
  bridge2: {nics: [{network: lan, spoof_guard: off}, met]}
  vepa1: {nics: [{network: lan, mode: vepa, spoof_guard: strict}]}
  private1: {nics: [{network: lan, mode: private}, own]}
  source1: {nics: [{network: lan, mode: source, allow: [vm:vepa1]}]}
  own1: {nics: [own]}
  whole1: {nics: [all]}
  met1: {nics: [met]}
hosts: {nas: [10.0.0.9, 10.1.0.9]}
"""
WAYS = (
    "bridge1 bridge2",
    "bridge1 vepa1",
    "bridge1 vepa1 reflects",
    "private1 vepa1",
    "private1 vepa1 reflects",
    "vepa1 private1 reflects not",
    "vepa1 source1",
    "source1 vepa1 reflects",
    "source1 bridge1 reflects",
    "source1 bridge1 reflects not",
    "bridge1 host",
    "bridge2 host",
    "host bridge1 reflects",
    "private1 host reflects",
    "host vepa1 reflects not",
    "whole1 host reflects",
    "host whole1 reflects",
    "met1 host",
    "own1 private1",
    "own1 host",
    "bridge1 gateway",
    "nas bridge2",
    "source1 nas",
    "private1 192.0.2.1",
)
CHART = """\
flowchart LR
  q0["bridge1<br>sends to vepa1 from MAC"]
  q1["macvtap DEVICE<br>spoof guard (mac): lets pass what comes from MAC"]
  q0 --> q1
  q2["nic0<br>mode bridge: sends to the wire what is not for another bridge guest"]
  q1 --> q2
  q3["behind nic0<br>may send the frame back or not: ask it with vmnet modes --uplink nic0"]
  q2 -.-> q3
  q4["nic0<br>mode vepa: hands it to vepa1"]
  q3 --> q4
  q5["vepa1<br>gets it"]
  q4 --> q5
  a0["vepa1<br>sends to bridge1 from MAC"]
  a1["macvtap DEVICE<br>spoof guard (strict): lets pass what comes from MAC and its addresses"]
  a0 --> a1
  a2["nic0<br>mode vepa: sends to the wire"]
  a1 --> a2
  a3["behind nic0<br>may send the frame back or not: ask it with vmnet modes --uplink nic0"]
  a2 -.-> a3
  a4["nic0<br>mode bridge: hands it to bridge1"]
  a3 --> a4
  a5["bridge1<br>gets it"]
  a4 --> a5
  verdict(["depends on the switch"])
  q5 --> verdict
"""


def underived(text: str) -> str:
    return re.sub(
        r"\bmv[a-z][0-9a-f]{8,}", "DEVICE", re.sub(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC", text)
    )


def promised(reflects: dict[str, bool]) -> str:
    plan = load(PAIRS, "p", ()).plan
    return written(pairs(plan, assign(plan), Facts(), reflects))


def explained(way: str) -> str:
    source, target, *more = way.split()
    reflects = {"": None, "reflects": True, "reflects not": False}[" ".join(more)]
    plan = load(EXPLAINED, "p", ()).plan
    return underived(as_text(explain(plan, assign(plan), source, target, reflects=reflects)))


def test_every_pair_of_a_plan_is_promised_this() -> None:
    measured = promised({"nic0": True})
    unmeasured = promised({}).splitlines(keepends=True)
    assert measured.count("\n") == len(unmeasured)
    of_nic0 = "".join(line for line in measured.splitlines(keepends=True) if line[:4] == "lan:")
    assert f"{''.join(unmeasured)}\nnic0 reflects\n{of_nic0}" == (HERE / "pairs.txt").read_text()
    assert "".join(unmeasured[18 + 5 :]) == measured[len(of_nic0) :]


@pytest.mark.parametrize("way", WAYS)
def test_a_path_is_explained_so(way: str) -> None:
    texts = dict(
        part.split("\n", 1) for part in (HERE / "explanations.txt").read_text().split("\n\n")
    )
    assert explained(way).rstrip("\n") == texts[way].rstrip("\n")


def test_a_path_is_drawn_so() -> None:
    plan = load(EXPLAINED, "p", ()).plan
    assert underived(as_mermaid(explain(plan, assign(plan), "bridge1", "vepa1"))) == CHART


def test_a_chart_holds_no_character_that_mermaid_would_read() -> None:
    plan = load(EXPLAINED, "p", ()).plan
    chart = as_mermaid(explain(plan, assign(plan), "whole1", "host", reflects=False))
    assert "mode passthru: the uplink is the guest#39;s, every frame goes to the wire" in chart
    assert "'" not in chart
    assert underived(chart).endswith('  verdict(["must not reach"])\n  q3 --> verdict\n')


@pytest.mark.parametrize("reflects", [True, False])
def test_an_arrow_of_a_chart_shows_where_frames_stop(reflects: bool) -> None:  # noqa: FBT001
    plan = load(EXPLAINED, "p", ()).plan
    chart = as_mermaid(explain(plan, assign(plan), "bridge1", "vepa1", reflects=reflects))
    assert ("q2 --x q3" in chart, "-.->" in chart) == (not reflects, False)


@pytest.mark.parametrize(
    ("ends", "what", "fix"),
    [
        (
            "bridge1 nobody",
            'the plan lab has no VM "nobody"',
            (
                "its VMs: bridge1, bridge2, vepa1, private1, source1, own1, whole1, met1; "
                "or host, gateway, a name of hosts:, an address"
            ),
        ),
        ("1.2 bridge1", 'the plan lab has no VM "1.2"', "its VMs: "),
        (
            "host gateway",
            "a way has two ends, one of them a VM at least",
            "as in: vmnet explain web1 db1",
        ),
        (
            "bridge1 bridge1",
            "a way has two ends, one of them a VM at least",
            "as in: vmnet explain web1 db1",
        ),
        (
            "bridge1 whole1",
            "bridge1 and whole1 share no network: only a router between them could help",
            "put both on one network, or explain the way to the gateway",
        ),
    ],
)
def test_ends_that_have_no_path_are_refused(ends: str, what: str, fix: str) -> None:
    with pytest.raises(VmnetError) as raised:
        explained(ends)
    assert (raised.value.what, raised.value.status) == (what, 2)
    assert str(raised.value.fix).startswith(fix)
