"""The manifest of a snapshot, and what it is judged by."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.guest import snapshot
from provisioner.guest.domain import Domain, DomainDisk
from provisioner.guest.snapshot import SavedFile, SavedGuest, SavedPlan
from tests.builders.domain import SEEDED, WEB

HOME = "/var/lib/vmnet/lab"
DISK = DomainDisk(f"{HOME}/disk/web.qcow2", "qcow2", "/store/sha256-0", "qcow2")
GUEST = replace(
    WEB,
    uuid=naming.domain_uuid("lab", "web"),
    disks=(DISK,),
    seed=f"{HOME}/seed/web-0123456789ab.iso",
    nvram=f"{HOME}/boot/web.nvram",
    home=HOME,
)
OTHER_KIND = "a guest in its manifest has a value of another kind than vmnet writes"
FILES = (
    SavedFile("disk/web.qcow2", 300),
    SavedFile("seed/web-0123456789ab.iso", 40),
    SavedFile("boot/web.nvram", 5),
)
SAVED = SavedPlan(
    "lab", "first", 1795887043, "0.1.0", 9000000, 7002022, (SavedGuest(GUEST, 70_000, FILES),)
)


def read(text: str, plan: str = "lab", name: str = "first") -> SavedPlan:
    return snapshot.from_text(text, plan, name, HOME)


def test_a_manifest_reads_as_it_was_written() -> None:
    assert read(snapshot.to_text(SAVED)) == SAVED
    assert read(snapshot.to_text(SAVED)).guests[0].domain.home == HOME
    assert SAVED.size == 70_345


def changed(change: Callable[[Any], object]) -> str:
    tree = json.loads(snapshot.to_text(SAVED))
    change(tree)
    return json.dumps(tree)


def in_guest(**values: object) -> Callable[[Any], object]:
    return lambda tree: tree["guests"][0].update(values)


def in_domain(**values: object) -> Callable[[Any], object]:
    return lambda tree: tree["guests"][0]["domain"].update(values)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t.update(format=2), "its manifest is of another version of vmnet"),
        (lambda t: t.pop("format"), "its manifest is of another version of vmnet"),
        (lambda t: t.update(plan="prod"), "it is of the plan prod: its guests have that plan's"),
        (lambda t: t.update(name="second"), "its manifest is that of the snapshot second"),
        (lambda t: t.update(made="now"), '"made" in its manifest is no number'),
        (lambda t: t.update(made=-1), '"made" in its manifest is no number'),
        (lambda t: t.update(qemu=True), '"qemu" in its manifest is no number'),
        (lambda t: t.update(vmnet=None), '"vmnet" in its manifest is no text'),
        (lambda t: t.update(guests={}), '"guests" in its manifest is no list'),
        (lambda t: t.update(guests=[]), "there is no guest in it"),
        (lambda t: t.update(guests=[1]), "a guest in its manifest is not one"),
        (lambda t: t["guests"].append(t["guests"][0]), "a guest is in it twice"),
        (in_guest(domain=None), "a guest in its manifest is not as this version of vmnet"),
        (in_guest(memory="big"), '"memory" in its manifest is no number'),
        (in_guest(files=[]), "the files of web in its manifest lie elsewhere than vmnet's do"),
        (in_guest(files={}), "the files of the guest web in it are not those of its disks"),
        (
            in_guest(files={"disk/../../../../etc/shadow": 1}),
            "the files of web in its manifest lie elsewhere than vmnet's do",
        ),
        (
            in_guest(files={"keys/web": 1}),
            "the files of web in its manifest lie elsewhere than vmnet's do",
        ),
        (in_domain(name="lab-db"), "the guest web in it is not one of the plan lab"),
        (in_domain(uuid=WEB.uuid), "the guest web in it is not one of the plan lab"),
        (in_domain(plan="prod"), "the guest web in it is not one of the plan lab"),
        (
            in_domain(kernel=7),
            OTHER_KIND,
        ),
        (
            in_domain(memory_mib="1"),
            OTHER_KIND,
        ),
        (in_domain(disks=7), "a guest in its manifest is not as this version of vmnet"),
    ],
)
def test_an_edited_manifest_is_refused_in_one_sentence(
    change: Callable[[Any], object], why: str
) -> None:
    with pytest.raises(VmnetError) as refused:
        read(changed(change))
    assert refused.value.what.startswith(f"the snapshot first cannot be used: {why}")
    assert "vmnet snapshot rm first" in str(refused.value.fix)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "[" * 100_000, '{"a": 1, "a": 2}', "NaN"])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(VmnetError, match=r"^the snapshot first cannot be used: "):
        read(text)


def test_another_plans_snapshot_is_refused() -> None:
    with pytest.raises(VmnetError, match=r"it is of the plan lab: .*nobody may have them twice"):
        read(snapshot.to_text(SAVED), plan="prod")


@pytest.mark.parametrize("name", ["first", "before-upgrade", "a_1", "0"])
def test_a_plain_name_can_be_a_snapshots(name: str) -> None:
    assert snapshot.checked_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a.1", "-y", "É", "a" * 41, "a\n"])
def test_a_name_that_is_a_path_or_an_option_cannot(name: str) -> None:
    with pytest.raises(VmnetError, match="cannot be the name of a snapshot"):
        snapshot.checked_name(name)


def test_a_guest_consists_of_its_files_in_the_plans_folder() -> None:
    assert set(snapshot.places(GUEST)) == {f.place for f in FILES}
    assert snapshot.written_places(GUEST) == {"disk/web.qcow2", "boot/web.nvram"}


def test_a_disk_of_the_users_own_is_refused() -> None:
    theirs = replace(GUEST, disks=(DISK, DomainDisk("/srv/data.img", "raw")))
    (refused,) = snapshot.unsavable([GUEST, theirs])
    assert refused.what.startswith("web has the disk /srv/data.img, which vmnet has not made")


def test_a_guest_whose_nics_the_plan_has_changed_is_refused() -> None:
    assert snapshot.unfit(GUEST, GUEST) is None
    assert snapshot.unfit(GUEST, replace(GUEST, memory_mib=256)) is None
    unfit = snapshot.unfit(GUEST, replace(GUEST, nics=SEEDED.nics))
    assert unfit
    assert unfit.what == (
        "web was saved with other NICs than the plan has now: it has no NIC mvtdeb06583bd"
    )
    gone = snapshot.unfit(GUEST, None)
    assert gone
    assert gone.what == 'the snapshot has a VM "web", and the plan has none'


def test_what_the_plan_wants_otherwise_is_said() -> None:
    assert snapshot.changes(GUEST, GUEST) == ""
    assert snapshot.changes(GUEST, replace(GUEST, memory_mib=256)) == "memory mib is 128, want 256"


def test_a_later_qemu_reads_an_earlier_ones_memory_but_not_the_other_way() -> None:
    assert snapshot.too_old(SAVED, 7002022) is None
    assert snapshot.too_old(SAVED, 10000002) is None
    refused = snapshot.too_old(SAVED, 7000000)
    assert refused
    assert refused.what == (
        "the snapshot first was made with QEMU 7.2.22, and this host has 7.0.0, "
        "which cannot read it"
    )


def named(vm: str) -> Domain:
    return replace(GUEST, vm=vm)


def test_guests_of_a_snapshot_are_chosen_by_name() -> None:
    many = replace(SAVED, guests=tuple(SavedGuest(named(vm), 1) for vm in "abc"))
    assert [g.vm for g in snapshot.chosen(many, ())] == ["a", "b", "c"]
    assert [g.vm for g in snapshot.chosen(many, ("c", "a", "c"))] == ["c", "a"]
    with pytest.raises(VmnetError, match='the snapshot first has no VM "d"'):
        snapshot.chosen(many, ("d",))
