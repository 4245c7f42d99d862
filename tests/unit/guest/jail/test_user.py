"""The users that guests' QEMUs run as: derived, apart, and refused when they meet."""

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.guest.jail.user import DEFAULT, SMALL, GuestUsers, collisions, read_range

USERS = GuestUsers(range(2_001_000_000, 2_001_002_000))


def test_a_vm_has_the_same_user_on_every_run_and_another_one_than_all_others() -> None:
    assert naming.guest_uid("lab", "web", DEFAULT) == 2_093_734_914
    assert naming.guest_uid("lab", "web", SMALL) == 45_963
    names = [(plan, f"vm{n}") for plan in ("lab", "other") for n in range(100)]
    uids = {naming.guest_uid(*name, DEFAULT) for name in names}
    assert len(uids) == len(names)
    assert all(uid in DEFAULT[1:] for uid in uids)


def test_the_first_user_of_a_range_is_nobodys() -> None:
    found = {naming.guest_uid("lab", f"vm{n}", range(5000, 5003)) for n in range(50)}
    assert found == {5001, 5002}


@pytest.mark.parametrize(
    ("kvm_group", "group", "accel", "want"),
    [
        (0, 0, "tcg", None),
        (0, 0, "kvm", None),
        (108, 0, "tcg", None),
        (108, 0, "kvm", 108),
        (0, 64, "kvm", 64),
        (108, 64, "tcg", 64),
        (108, 108, "kvm", 108),
    ],
)
def test_its_group_is_its_own_unless_it_has_to_open_more(
    kvm_group: int, group: int, accel: str, want: int | None
) -> None:
    uid, gid = GuestUsers(USERS.uids, kvm_group, group).of("lab", "web", accel)
    assert (uid, gid) == (naming.guest_uid("lab", "web", USERS.uids), want or uid)


def test_a_guest_that_needs_two_groups_has_no_user_of_its_own() -> None:
    assert GuestUsers(USERS.uids, 108, 64).of("lab", "web", "kvm") == (0, 0)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("off", None),
        ("5000-9000", range(5000, 9001)),
        ("5000-2147483647", range(5000, 1 << 31)),
    ],
)
def test_a_range_is_read(text: str, want: range | None) -> None:
    assert read_range(text) == want


@pytest.mark.parametrize(
    "text",
    ["", "on", "0-99999", "999-9999", "5000-5100", "9000-5000", "5000-2147483648"],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(VmnetError, match="guest_users is not a range of users") as caught:
        read_range(text)
    assert str(caught.value.fix).startswith("write FIRST-LAST with 1000 numbers or more")


def test_vms_that_meet_each_other_or_somebody_else_are_named() -> None:
    uids = {"a": 7, "b": 8, "c": 7, "d": 9}
    found = [error.what for error in collisions(uids, {9: "backup, in the user database"})]
    assert found == [
        'the user 7, whom QEMU of the VM "c" would run as, is that of the VM a of this plan',
        'the user 9, whom QEMU of the VM "d" would run as, is that of backup, in the user database',
    ]
    assert not list(collisions({"a": 7, "b": 8}, {}))
