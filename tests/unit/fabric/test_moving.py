"""Where VMs of several hosts can be moved to, and what is said against it."""

from provisioner.fabric.facts import Silent
from provisioner.fabric.moving import drained, moved
from provisioner.fabric.placing import Decision, Fleet, Home
from tests.builders.fabric import host, placed

TWO = "a: {nics: [lan], memory: 1G}, b: {nics: [lan], memory: 1G}"
FLEET: Fleet = {"h1": host(4096), "h2": host(4096)}


def on(**hosts: str) -> dict[str, tuple[Home, ...]]:
    """Return VMs that run on hosts."""
    return {vm: (Home(at, runs=True),) for vm, at in hosts.items()}


def told(decision: Decision) -> list[str]:
    return [*decision.lines(), *(problem.what for problem in decision.refused)]


def test_a_vm_goes_where_it_is_wanted_and_the_others_stay() -> None:
    found = moved(placed(TWO), FLEET, on(a="h1", b="h1"), "a", "h2")
    assert told(found) == ["a on h2: 4.0 of 8.0 GiB free", "b stays on h1: it runs there"]


def test_a_vm_that_the_plan_wants_elsewhere_is_refused_at_its_place() -> None:
    plan = placed("a: {on: h1, nics: [lan]}")
    (refused,) = moved(plan, FLEET, on(a="h1"), "a", "h2").refused
    assert refused.path == ("vms", "a", "on")
    assert refused.what == "VM a is to be on h1, and not on h2"


def test_a_vm_that_does_not_fit_is_refused_with_the_reason() -> None:
    fleet = {**FLEET, "h2": host(512)}
    found = moved(placed(TWO), fleet, on(a="h1", b="h1"), "a", "h2")
    assert told(found)[1:] == ["VM a fits on no host: h2 is full"]


def test_a_vm_on_a_switch_does_not_leave_the_others() -> None:
    plan = placed(
        "a: {nics: [own]}, b: {nics: [own]}", networks="own: {switch: {}, subnet: 10.77.0.0/24}"
    )
    (refused,) = moved(plan, FLEET, on(a="h1", b="h1"), "a", "h2").refused
    assert refused.what == "VM a shares a switch with b, and a switch is one host's own"


def test_all_vms_of_a_drained_host_are_placed_on_the_others() -> None:
    fleet = {**FLEET, "h3": host(2048)}
    found = drained(placed(TWO, "h1 h2 h3"), fleet, on(a="h1", b="h1"), "h1")
    assert {one.vm: one.host for one in found.assigned} == {"a": "h2", "b": "h3"}


def test_vms_of_one_switch_leave_a_drained_host_together() -> None:
    plan = placed(
        "a: {nics: [own]}, b: {nics: [own]}", networks="own: {switch: {}, subnet: 10.77.0.0/24}"
    )
    found = drained(plan, FLEET, on(a="h1", b="h1"), "h1")
    assert {one.vm: one.host for one in found.assigned} == {"a": "h2", "b": "h2"}
    half_done = drained(plan, FLEET, on(a="h2", b="h1"), "h1")
    assert {one.vm: one.host for one in half_done.assigned} == {"a": "h2", "b": "h2"}


def test_a_host_is_drained_though_another_one_does_not_answer() -> None:
    fleet = {**FLEET, "h3": Silent("timed out")}
    found = drained(placed("a: {nics: [lan]}", "h1 h2 h3"), fleet, on(a="h1"), "h1")
    assert {one.vm: one.host for one in found.assigned} == {"a": "h2"}


def test_a_host_with_a_pinned_vm_is_not_drained() -> None:
    plan = placed("a: {on: h1, nics: [lan]}")
    (refused,) = drained(plan, FLEET, on(a="h1"), "h1").refused
    assert refused.what == "VM a is to be on h1, which is drained"
