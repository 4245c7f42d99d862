"""What holds for every placement, tried on plans and hosts that are made up from numbers."""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest

from provisioner.fabric.capacity import POOL_MIB
from provisioner.fabric.facts import HostFacts, ResidentVm, Silent, UplinkTap
from provisioner.fabric.place import place
from provisioner.fabric.placing import Decision, Fleet, found_in
from provisioner.guest.qemu.memory import wanted_mib
from provisioner.plan.model import Plan
from provisioner.plan.nic_settings import settings_of
from provisioner.plan.placing.carriers import apart_groups, candidates, together, uplink_on
from tests.builders.fabric import host, nic, placed

SEEDS = range(50)
NETWORKS = (
    "wan: {uplink: eno2, mode: passthru},"
    " own: {switch: true, subnet: 10.1.0.0/24}, two: {switch: true, subnet: 10.2.0.0/24}"
)


def made(seed: int) -> tuple[Plan, dict[str, HostFacts]]:
    """Make up a plan and its hosts; the same for the same seed."""
    random = Random(seed)  # noqa: S311  (numbers for a test)
    hosts = [f"h{number}" for number in range(1, random.randint(3, 6))]
    vms = []
    for number in range(random.randint(1, 12)):
        nics = random.choice(["lan", "lan", "lan", "lan, wan", "wan", "own", "two, lan"])
        memory = random.choice([256, 512, 1024, 2048])
        vms.append(f"v{number}: {{nics: [{nics}], memory: {memory}}}")
    loose = [f"v{n}" for n, vm in enumerate(vms) if "own" not in vm and "two" not in vm]
    apart = loose[: len(hosts)]
    strategy = random.choice(["spread", "pack"])
    more = f"placement: {{strategy: {strategy}, apart: [{', '.join(apart)}]}}"
    if len(apart) < 2:
        more = f"placement: {strategy}"
    fleet = {}
    for name in hosts:
        taps = random.choice([(), (UplinkTap("x", "bridge", "other", "x"),)])
        uplinks = [nic("eno1"), nic("eno2", *taps, carrier=random.random() < 0.8)]
        found = uplinks[: random.randint(1, 2)]
        fleet[name] = host(random.randint(0, 6000), *found, pool_mib=random.randint(0, 64))
    return placed(", ".join(vms), " ".join(hosts), more, NETWORKS), fleet


def after(plan: Plan, fleet: dict[str, HostFacts], found: Decision) -> dict[str, HostFacts]:
    """Give the hosts as they are when what was decided runs."""
    new: dict[str, HostFacts] = {}
    for name, facts in fleet.items():
        here = [one.vm for one in found.assigned if one.host == name]
        took = sum(wanted_mib(plan.vm(vm)) for vm in here)
        uplinks = []
        for uplink in facts.uplinks:
            taps = [
                UplinkTap(f"mvt-{vm}", str(settings_of(plan, one).mode), "lab", vm)
                for vm in here
                for one in plan.vm(vm).nics
                if uplink_on(plan, name, plan.network(one.network)) == uplink.name
            ]
            uplinks.append(replace(uplink, taps=(*uplink.taps, *taps)))
        new[name] = replace(
            facts,
            free_memory_mib=facts.free_memory_mib - took,
            free_pool_mib=facts.free_pool_mib - POOL_MIB * len(here),
            uplinks=tuple(uplinks),
            vms=tuple(ResidentVm("lab", vm, "running", runs=True) for vm in here),
        )
    return new


@pytest.mark.parametrize("seed", SEEDS)
def test_a_placement_holds(seed: int) -> None:
    plan, fleet = made(seed)
    found = place(plan, fleet, {})
    where = {one.vm: one.host for one in found.assigned}
    for name, facts in fleet.items():
        here = [plan.vm(vm) for vm, at in where.items() if at == name]
        assert sum(map(wanted_mib, here)) <= facts.free_memory_mib
        assert len(here) * POOL_MIB <= facts.free_pool_mib
        wan = [vm for vm in here for one in vm.nics if one.network == "wan"]
        uplink = facts.uplink("eno2")
        assert len(wan) <= (1 if uplink and not uplink.taps else 0)
    for group in apart_groups(plan):
        assert all(where[a] != where[b] for a, b in combinations(group, 2) if {a, b} <= set(where))
    for unit in together(plan):
        assert len({where.get(vm) for vm in unit}) == 1
    assert all(at in candidates(plan, plan.vm(vm)) for vm, at in where.items())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_placement_is_the_same_again_and_whatever_order_hosts_answer_in(seed: int) -> None:
    plan, fleet = made(seed)
    found = place(plan, fleet, {})
    assert place(plan, fleet, {}) == found
    assert place(plan, dict(reversed(fleet.items())), {}) == found


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_placed_stays_when_it_runs(seed: int) -> None:
    plan, fleet = made(seed)
    found = place(plan, fleet, {})
    later = after(plan, fleet, found)
    again = place(plan, later, found_in("lab", later))
    assert {one.vm: one.host for one in again.assigned if one.stays} == {
        one.vm: one.host for one in found.assigned
    }
    running = {one.vm for one in found.assigned}
    assert {problem.path for problem in again.refused} == {
        problem.path for problem in found.refused if problem.path[1] not in running
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_every_vm_is_placed_or_refused_in_words(seed: int) -> None:
    plan, fleet = made(seed)
    found = place(plan, fleet, {})
    units = {unit[0]: unit for unit in together(plan)}
    refused = [vm for problem in found.refused for vm in units[str(problem.path[1])]]
    told = Counter([*refused, *(one.vm for one in found.assigned)])
    assert told == Counter(vm.name for vm in plan.vms)
    assert all("h1" in problem.what for problem in found.refused)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_vm_never_leaves_a_host_that_does_not_answer(seed: int) -> None:
    plan, fleet = made(seed)
    before = place(plan, fleet, {})
    later = after(plan, fleet, before)
    lost = Random(seed).choice(sorted(fleet))  # noqa: S311
    seen: Fleet = {**later, lost: Silent("timed out")}
    now = found_in("lab", seen)
    found = place(plan, seen, now)
    # Nobody knows which VMs were there: none goes anywhere that no host says it has.
    assert {one.vm for one in found.assigned} == set(now)
    assert all(one.stays for one in found.assigned)
    dead: Fleet = {**later, lost: Silent("timed out", is_dead=True)}
    moved = place(plan, dead, now)
    assert all(one.host != lost for one in moved.assigned)
    assert {one.vm for one in moved.assigned if one.stays} == set(now)
    assert moved.held == ()
