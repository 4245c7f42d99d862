"""VMs that start after others: who may be named, and that nobody waits for itself."""

import pytest

from provisioner.plan.load.loader import load
from tests.builders.plan import complaints_of

PLAN = "name: lab\nnetworks: {{lan: {{uplink: nic0, addressing: none}}}}\nvms:\n  {}\n"


def vms(**after: str) -> str:
    lines = (f"{name}: {{nics: [lan], after: {names}}}" for name, names in after.items())
    return PLAN.format("\n  ".join(lines))


def test_a_vm_may_start_after_one_or_several() -> None:
    plan = load(vms(web="[router, db]", db="router", router="[]"), "p").plan
    assert [vm.after for vm in plan.vms] == [("router", "db"), ("router",), ()]


def test_a_name_that_is_no_vm_is_told_at_its_place() -> None:
    assert complaints_of(vms(web="[db, ruoter]", db="[]", router="[]")) == [
        '4:34 there is no VM "ruoter"',
        'fix: did you mean "router"? VMs of this plan: db, router, web',
    ]


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ({"web": "web"}, "web after web"),
        ({"a": "b", "b": "a"}, "a after b after a"),
        ({"a": "b", "b": "[d, c]", "c": "a", "d": "[]"}, "a after b after c after a"),
    ],
)
def test_vms_that_wait_for_each_other_are_refused(after: dict[str, str], told: str) -> None:
    (what, fix) = complaints_of(vms(**after))
    assert what.partition(" ")[2] == f"these VMs would wait for each other: {told}"
    assert what.startswith("4:")
    assert fix == "fix: take one of them out of the other's after"


def test_an_unknown_name_is_no_circle() -> None:
    assert [line for line in complaints_of(vms(a="[b, x]", b="a")) if "would wait" in line] != []
    assert len(complaints_of(vms(a="x", b="a"))) == 2
