"""Which plans are nobody's any more."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.inventory.found import DiskFile, FoundPlan, FoundVm, LockHolder, Thing
from provisioner.inventory.judge import GcWish, verdict

NOW = 1_764_352_637
FOLDER = Thing("folder", "/var/lib/vmnet/lab", NOW - 7200)
TAP = Thing("macvtap", "mvt0123456789")
DEAD = FoundPlan("lab", NOW - 7200, vms=(FoundVm("a", "ended"),), things=(FOLDER, TAP))
RUNS = replace(DEAD, vms=(FoundVm("a", "running", 42, NOW - 60, lives=True),))
STOPPED = replace(DEAD, vms=(FoundVm("a", "stopped"),))
OVER, TO_COME = NOW - 90, NOW + 90
KEPT = DiskFile("/var/lib/vmnet/lab/disk/a.qcow2", "a", 1 << 20)
UNKEPT = replace(KEPT, keep=False)
WORKED_ON = LockHolder(9, "vmnet up lab", "12:00:00")
ALL = GcWish()


@pytest.mark.parametrize(
    ("plan", "wish", "is_garbage", "why"),
    [
        (DEAD, ALL, True, "no VM of it runs, and nobody works on it"),
        (RUNS, ALL, False, "a of it runs"),
        (STOPPED, ALL, False, "a of it was stopped, to be started again"),
        (replace(STOPPED, until=OVER), ALL, True, "its time was over"),
        (replace(RUNS, until=OVER), ALL, True, "its time was over 1 min 30 s ago"),
        (replace(RUNS, until=TO_COME), ALL, False, "a of it runs"),
        (replace(DEAD, until=TO_COME), ALL, False, "its time is over in 1 min 30 s only"),
        (
            *(replace(RUNS, until=OVER, holder=WORKED_ON), ALL, False),
            "vmnet up lab (pid 9, since 12:00:00) works on it",
        ),
        (replace(DEAD, holder=WORKED_ON), ALL, False, f"{WORKED_ON} works on it"),
        (DEAD, GcWish(only_expired=True), False, "it has no expiry"),
        (replace(DEAD, until=OVER), GcWish(only_expired=True), True, "its time was over"),
        (
            *(replace(DEAD, disks=(KEPT, UNKEPT)), ALL, False),
            "it keeps a disk (1.0 MiB), which only --disks takes",
        ),
        (replace(DEAD, disks=(KEPT,)), GcWish(disks=True), True, "no VM of it runs"),
        (replace(DEAD, disks=(UNKEPT,)), ALL, True, "no VM of it runs"),
        (replace(RUNS, until=OVER, disks=(KEPT,)), ALL, True, "its time was over"),
        (
            *(replace(DEAD, until=OVER, disks=(KEPT,), things=(FOLDER,)), ALL, False),
            "it keeps a disk",
        ),
        (
            *(replace(DEAD, snapshots=("base",)), ALL, False),
            "it keeps snapshots (base): vmnet snapshot rm removes them",
        ),
        (replace(RUNS, until=OVER, snapshots=("base",)), ALL, True, "its time was over"),
        (replace(DEAD, is_booted=True), ALL, False, "it comes up when this host is started"),
        (replace(RUNS, until=OVER, is_booted=True), ALL, True, "its time was over"),
        (replace(DEAD, until=OVER, is_others=True), ALL, False, "it is another user's"),
        (DEAD, GcWish(older_than_s=7000), True, "no VM of it runs"),
        (DEAD, GcWish(older_than_s=8000), False, "it is 2 h old only"),
        (replace(DEAD, made=0), GcWish(older_than_s=1), False, "how old it is does not show"),
        (
            *(replace(RUNS, until=OVER, vms=(replace(RUNS.vms[0], is_elsewhere=True),)), ALL),
            *(False, "it runs in another namespace"),
        ),
    ],
)
def test_what_is_garbage_and_why(
    plan: FoundPlan, wish: GcWish, why: str, *, is_garbage: bool
) -> None:
    found = verdict(plan, NOW, wish)
    assert (found.is_garbage, found.why[: len(why)]) == (is_garbage, why)


plans = st.builds(
    FoundPlan,
    name=st.just("lab"),
    made=st.sampled_from([0, NOW - 10, NOW - 9999]),
    until=st.sampled_from([0, OVER, TO_COME]),
    vms=st.lists(
        st.builds(
            FoundVm,
            name=st.just("a"),
            state=st.just("x"),
            is_elsewhere=st.booleans(),
            lives=st.booleans(),
        )
    ).map(tuple),
    disks=st.lists(st.sampled_from([KEPT, UNKEPT])).map(tuple),
    snapshots=st.sampled_from([(), ("base",)]),
    things=st.lists(st.sampled_from([FOLDER, TAP])).map(tuple),
    holder=st.sampled_from([None, WORKED_ON]),
)
wishes = st.builds(
    GcWish,
    only_expired=st.booleans(),
    older_than_s=st.sampled_from([0, 100]),
    disks=st.booleans(),
)


@given(plans, wishes)
def test_nothing_that_lives_is_garbage(plan: FoundPlan, wish: GcWish) -> None:
    found = verdict(plan, NOW, wish)
    if not found.is_garbage:
        assert found.why
        return
    assert plan.holder is None
    assert not plan.is_elsewhere
    is_over = 0 < plan.until <= NOW
    assert is_over or not (plan.until or wish.only_expired or any(vm.lives for vm in plan.vms))
    assert is_over or wish.disks or not any(disk.keep for disk in plan.disks)
    assert is_over or wish.disks or not plan.snapshots
