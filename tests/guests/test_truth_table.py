"""Real guests in every mode on one NIC: what reaches what, cell by cell, hairpin off and on."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from provisioner.plan.choices import Mode
from provisioner.reachability import mode_table
from tests.framework.lab import Lab
from tests.framework.wire import CabledNic, cabled_nic

HOST, LAN = ("10.90.0.1", "fd90::1"), ("10.90.0.254", "fd90::254")
GUESTS = ("p1", "p2", "v1", "v2", "b1", "b2", "s1", "s2", "z1", "z2")
MODES = {"p": "private", "v": "vepa", "b": "bridge", "s": "source", "z": "source"}
PING = """\
for a; do case $a in *:*) ping -6 -c 3 -W 1 "$a" & ;; *) ping -4 -c 3 -W 1 "$a" & ;; esac; done
wait
"""


@dataclass(frozen=True)
class Measured:
    """Which (from, to, IP version) has answered, of all that were asked."""

    asked: frozenset[tuple[str, str, int]]
    answered: frozenset[tuple[str, str, int]]


def plan_of(wire: CabledNic, nics: dict[str, str]) -> str:
    network = (
        f"{{uplink: {wire.name}, subnet: [10.90.0.0/24, 'fd90::/64'], pool: 10.90.0.10-10.90.0.99}}"
    )
    vms = "\n".join(
        f"  {vm}: {{memory: 96M, nics: [{{network: lan, {nic}}}]}}" for vm, nic in nics.items()
    )
    return f"networks: {{lan: {network}}}\nvms:\n{vms}\n"


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    with cabled_nic(
        shared_lab,
        *(f"{a}/{n}" for a, n in zip(LAN, (24, 64), strict=True)),
        host=tuple(f"{a}/{n}" for a, n in zip(HOST, (24, 64), strict=True)),
    ) as made:
        yield made


@pytest.fixture(scope="module")
def ten(shared_lab: Lab, wire: CabledNic) -> Iterator[Path]:
    """Two guests in each mode; the lists of s1 and s2 name everybody, those of z1 and z2 nobody."""
    host = json.loads(shared_lab.ip("-json", "link", "show", wire.name))[0]["address"]
    everybody = ", ".join([*(f"vm:{vm}" for vm in GUESTS), f'"{host}"', f'"{wire.mac()}"'])
    nics = {
        vm: f"mode: {MODES[vm[0]]}" + (f", allow: [{everybody}]" if vm[0] == "s" else "")
        for vm in GUESTS
    }
    with shared_lab.settled():
        plan = shared_lab.plan(plan_of(wire, nics))
        shared_lab.vmnet("up", plan, "--timeout", "110", status=0)
        yield plan


def measured(wire: CabledNic, plan: Path, report: Any) -> Measured:  # noqa: ANN401  (JSON)
    """Take guest to guest and host to guest from vmnet's check, and ping everything else."""
    lab = wire.lab
    asked, answered = set(), set()
    addresses = {vm["name"]: [a.partition("/")[0] for a in vm["addresses"]] for vm in report["vms"]}
    for r in report["results"]:
        cell = (r["from"], r["to"], 6 if ":" in r["address"] else 4)
        asked.add(cell)
        answered |= {cell} if r["observed"] == "reaches" else set()
    for vm in addresses:
        ran = lab.vmnet("exec", "-f", plan, vm, "--", "sh", "-c", PING, "ping", *HOST, *LAN)
        for name, ends in (("host", HOST), ("lan", LAN)):
            for end in ends:
                cell = (vm, name, 6 if ":" in end else 4)
                asked.add(cell)
                answered |= {cell} if f"bytes from {end}:" in ran.stdout else set()
    every = [(vm, a) for vm, ends in addresses.items() for a in ends]
    with ThreadPoolExecutor(len(every)) as pool:
        said = pool.map(lambda one: pinged(wire, one[1]), every)
        for (vm, address), ok in zip(every, said, strict=True):
            cell = ("lan", vm, 6 if ":" in address else 4)
            asked.add(cell)
            answered |= {cell} if ok else set()
    return Measured(frozenset(asked), frozenset(answered))


def pinged(wire: CabledNic, address: str) -> bool:
    said = wire.outside("sh", "-c", f"ping -n -c 3 -i 0.5 -W 2 {address} || true")
    return bool(re.search(r"[1-9]\d* received", said))


def documented(hairpin: bool) -> frozenset[tuple[str, str, int]]:  # noqa: FBT001
    """What facts of macvlan's truth table say should answer."""
    guests = {vm: mode_table.End(Mode(MODES[vm[0]]), lists=vm[0] != "z") for vm in GUESTS}
    ends = guests | {"host": mode_table.HOST, "lan": mode_table.OUTSIDE}
    works = {
        (a, b)
        for (a, one), (b, other) in permutations(ends.items(), 2)
        if {a, b} & guests.keys() and mode_table.reach(one, other, hairpin=hairpin).works
    }
    return frozenset((a, b, version) for a, b in works for version in (4, 6))


def every_cell() -> frozenset[tuple[str, str, int]]:
    ends = [*GUESTS, "host", "lan"]
    return frozenset(
        (a, b, version)
        for a in ends
        for b in ends
        if a != b and {a, b} != {"host", "lan"}
        for version in (4, 6)
    )


@pytest.mark.parametrize("hairpin", [False, True], ids=["hairpin off", "hairpin on"])
def test_every_cell_of_the_truth_table_is_as_documented(
    wire: CabledNic,
    ten: Path,
    hairpin: bool,  # noqa: FBT001
) -> None:
    wire.reflects(hairpin)
    if hairpin:
        # Behind it some ends cannot ask for others, but know who has asked them.
        wire.lab.start("check", ten, "--json").finished(None)
    report = wire.lab.vmnet("check", ten, "--json").report
    found = measured(wire, ten, report)
    assert found.asked == every_cell()
    assert found.answered - documented(hairpin) == frozenset()
    assert documented(hairpin) - found.answered == frozenset()
    assert all(r["as_expected"] for r in report["results"])


@pytest.mark.parametrize("promisc", ["true", "false"], ids=["passthru", "nopromisc"])
def test_a_passthru_guest_has_the_nic_for_itself(lab: Lab, promisc: str) -> None:
    ends = tuple(f"{a}/{n}" for a, n in zip(LAN, (24, 64), strict=True))
    hosts = tuple(f"{a}/{n}" for a, n in zip(HOST, (24, 64), strict=True))
    with cabled_nic(lab, *ends, host=hosts) as wire, lab.settled():
        own = json.loads(lab.ip("-json", "link", "show", wire.name))[0]["address"]
        plan = lab.plan(plan_of(wire, {"only": f"mode: passthru, promisc: {promisc}"}))
        lab.vmnet("up", plan)
        for hairpin in (False, True):
            wire.reflects(hairpin)
            report = lab.vmnet("check", plan, "--json").report
            found = measured(wire, plan, report)
            works = {("only", "lan"), ("lan", "only")}
            assert {(a, b) for a, b, _ in found.asked} == works | {
                ("only", "host"),
                ("host", "only"),
            }
            assert found.answered == {(a, b, v) for a, b in works for v in (4, 6)}
        shown = json.loads(lab.ip("-json", "-details", "link", "show", wire.name))[0]
        assert shown["promiscuity"] == int(promisc == "true")
        ran = lab.vmnet("exec", "-f", plan, "only", "--", "cat", "/sys/class/net/eth0/address")
        assert ran.stdout.strip() == own
        lab.vmnet("down", plan)
