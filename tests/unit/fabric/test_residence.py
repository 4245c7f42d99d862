"""The host of a VM is the one that says it has it; a silent host is never taken for empty."""

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.fabric.facts import HostFacts, ResidentVm, Silent
from provisioner.fabric.residence import residence
from tests.builders.fabric import host


def having(*, runs: bool, plan: str = "lab") -> HostFacts:
    return host(vms=(ResidentVm(plan, "a", "running" if runs else "stopped", runs),))


EMPTY, SILENT = host(), Silent("no route")


def test_it_is_where_it_runs_whatever_others_have_left_of_it_or_do_not_say() -> None:
    left, there = having(runs=False), having(runs=True)
    assert residence("lab", "a", {"h1": left, "h2": there, "h3": SILENT}) == "h2"


def test_a_vm_that_does_not_run_is_where_its_disks_are() -> None:
    assert residence("lab", "a", {"h1": EMPTY, "h2": having(runs=False)}) == "h2"


@pytest.mark.parametrize("known", [EMPTY, having(runs=False), having(runs=True, plan="other")])
def test_a_vm_that_is_not_seen_to_run_may_run_on_a_silent_host(known: HostFacts) -> None:
    with pytest.raises(VmnetError) as refused:
        residence("lab", "a", {"h1": known, "h2": SILENT})
    assert refused.value.what == (
        "on which host VM a is, is not known: h2 does not answer (no route)"
    )
    assert refused.value.fix == "bring h2 back, then run the command again"
    assert refused.value.status is Exit.HOST_CANNOT


def test_a_vm_that_no_host_has_is_not_up() -> None:
    with pytest.raises(VmnetError, match='VM "a" is on no host') as refused:
        residence("lab", "a", {"h1": EMPTY, "h2": EMPTY})
    assert refused.value.fix == "bring the plan up: vmnet up"


@pytest.mark.parametrize("runs", [True, False])
def test_a_vm_that_two_hosts_have_is_refused(runs: bool) -> None:  # noqa: FBT001
    fleet = {"h1": having(runs=runs), "h2": having(runs=runs)}
    with pytest.raises(VmnetError, match="VM a is on h1 and h2") as refused:
        residence("lab", "a", fleet)
    assert refused.value.status is Exit.CONFLICT
