"""What a guest boots and which disks it has, from the plan, the image and what is there."""

from dataclasses import replace
from typing import TypeVar

import pytest

from provisioner.guest.boot import BootFile, Loader, New
from provisioner.guest.domain import Domain, DomainDisk, FileCopy, Image, Overlay, Seed
from provisioner.guest.xml.render import domain_xml, from_mark, to_mark
from provisioner.network.addressing import assign
from provisioner.network.facts import Chosen, Facts
from provisioner.plan.load.loader import load
from provisioner.reconcile.desired import desired
from provisioner.reconcile.diff import diff
from provisioner.resource import Key, Resource

R = TypeVar("R", bound=Resource)
GIB = 1 << 30
DEBIAN = Image(
    name="debian-12",
    disk="/var/lib/vmnet/.images/sha256-aa",
    size=2 * GIB,
    boot=("bios", "uefi"),
    user="debian",
    min_memory_mib=384,
    cloud_init=True,
)
OVMF = Loader("/usr/share/OVMF/CODE.fd", "/usr/share/OVMF/VARS.fd")
FACTS = Facts(home="/v/lab")
LAB = "name: lab\nnetworks: {lan: {switch: true, subnet: 10.77.0.0/24}}\n"
DISK = "/v/lab/disk/web.qcow2"


def wanted(vm: str, image: Image = DEBIAN, **more: object) -> dict[Key, Resource]:
    """Give what must exist for one VM of these words."""
    text = f"{LAB}vms: {{web: {{nics: [lan], {vm}}}}}"
    plan = load(text, "lab.yaml").plan
    new = New({"web": image}, Chosen("tcg", ""), **more)  # type: ignore[arg-type]
    return desired(plan, assign(plan), FACTS, new)


def domain(resources: dict[Key, Resource]) -> Domain:
    return next(r for r in resources.values() if isinstance(r, Domain))


def of_kind(resources: dict[Key, Resource], kind: type[R]) -> list[R]:
    return [r for r in resources.values() if isinstance(r, kind)]


def test_an_images_disk_is_laid_over_it_and_as_large() -> None:
    made = wanted("image: debian-12")
    assert of_kind(made, Overlay) == [Overlay(DISK, 2 * GIB, DEBIAN.disk, "qcow2")]
    assert domain(made).disks == (DomainDisk(DISK, "qcow2", DEBIAN.disk, "qcow2"),)
    assert (domain(made).kernel, domain(made).cmdline, domain(made).firmware) == ("", "", "")
    assert domain(made).login == "debian"


def test_an_image_says_how_much_memory_a_guest_gets_at_least() -> None:
    assert domain(wanted("image: debian-12")).memory_mib == 384
    assert domain(wanted("image: debian-12, memory: 1G")).memory_mib == 1024
    assert domain(wanted("image: micro", Image("k", "i", "c", 96))).memory_mib == 128


def test_a_cloud_image_is_told_its_network_by_a_seed() -> None:
    made = wanted("image: debian-12")
    assert len(of_kind(made, Seed)) == 1
    assert "network-config=" not in domain_xml(domain(made))


def test_the_disk_grows_to_what_the_plan_says() -> None:
    made = wanted("image: debian-12, disk: 20G")
    assert of_kind(made, Overlay) == [Overlay(DISK, 20 * GIB, DEBIAN.disk, "qcow2")]


def test_a_disk_that_has_grown_stays_so_when_the_plan_says_nothing_more() -> None:
    there = Overlay(DISK, 20 * GIB, DEBIAN.disk, "qcow2")
    made = wanted("image: debian-12", disks={DISK: there})
    assert of_kind(made, Overlay) == [there]


def test_a_running_guests_disk_grows_without_a_restart_and_never_shrinks_by_a_step() -> None:
    made = wanted("image: debian-12, disk: 20G")
    small = made | {("disk", DISK): Overlay(DISK, 2 * GIB, DEBIAN.disk, "qcow2")}
    assert [str(s) for s in diff(made, small)] == [
        "update disk web.qcow2: size is 2048 MiB, want 20480 MiB"
    ]
    large = made | {("disk", DISK): Overlay(DISK, 30 * GIB, DEBIAN.disk, "qcow2")}
    assert "update" not in {s.verb for s in diff(made, large)}


def test_another_image_under_the_same_name_waits_for_recreate() -> None:
    old = domain(wanted("image: debian-12"))
    newer = replace(DEBIAN, disk="/var/lib/vmnet/.images/sha256-bb")
    kept = wanted("image: debian-12", newer, kept={"web": old})
    assert domain(kept) == old
    anew = wanted("image: debian-12", newer)
    have = kept | {("seed", str(old.seed)): Seed(str(old.seed))}
    assert "delete disk web.qcow2: it lies over another image" in map(str, diff(anew, have))


def test_a_newer_image_of_the_name_takes_no_disk_that_a_guest_has_written_to() -> None:
    newer = replace(DEBIAN, disk="/var/lib/vmnet/.images/sha256-bb")
    there = Overlay(DISK, 9 * GIB, DEBIAN.disk, "qcow2", image="debian-12", is_written=True)
    made = wanted("image: debian-12", newer, disks={DISK: there})
    assert of_kind(made, Overlay) == [there]
    assert domain(made).disks[0].backing == DEBIAN.disk
    other = replace(newer, name="debian-13")
    (anew,) = of_kind(wanted("image: debian-13", other, disks={DISK: there}), Overlay)
    assert (anew.backing, anew.image, anew.size) == (newer.disk, "debian-13", newer.size)


@pytest.mark.parametrize(
    ("vm", "kept"),
    [
        ("image: debian-12, disks: [1G]", [True, True]),
        ("image: debian-12, disks: [1G], keep: false", [False, False]),
        ("image: debian-12, keep: false, disk: {keep: true}, disks: [1G]", [True, False]),
        ("image: debian-12, disks: [{size: 1G, keep: false}]", [True, False]),
        ("disks: [1G]", [False]),
        ("disks: [1G], keep: true", [True]),
        ("disks: [{size: 1G, keep: true}]", [True]),
    ],
)
def test_what_down_keeps_is_said_by_the_disk_then_by_the_vm_then_by_the_image(
    vm: str, kept: list[bool]
) -> None:
    image = DEBIAN if "debian" in vm else replace(DEBIAN, name="micro", disk="", cloud_init=False)
    made = of_kind(wanted(vm, image), Overlay)
    assert [disk.keep for disk in made] == kept
    assert {disk.vm for disk in made} == {"web"}


def test_another_image_by_name_is_a_change() -> None:
    old = domain(wanted("image: debian-12"))
    other = replace(DEBIAN, name="debian-13", disk="/x", boot=("uefi",))
    changed = wanted("image: debian-13", other, kept={"web": old})
    told = [str(s) for s in diff(changed, wanted("image: debian-12"))]
    assert any("image is debian-12, want debian-13" in line for line in told)


def test_uefi_gives_the_guest_variables_of_its_own() -> None:
    made = wanted("image: debian-12, boot: uefi", loader=OVMF)
    nvram = "/v/lab/boot/web.nvram"
    assert of_kind(made, FileCopy) == [FileCopy(nvram, OVMF.variables)]
    guest = domain(made)
    assert (guest.firmware, guest.loader, guest.nvram) == ("uefi", OVMF.code, nvram)
    assert f"<nvram>{nvram}</nvram>" in domain_xml(guest)


def test_an_image_that_only_uefi_boots_is_booted_by_uefi() -> None:
    only = replace(DEBIAN, boot=("uefi",))
    assert domain(wanted("image: debian-12", only, loader=OVMF)).firmware == "uefi"


def test_a_kernel_of_the_plans_is_copied_for_qemu_and_booted_directly() -> None:
    files = {("web", "kernel"): BootFile("/src/bzImage", "ab" * 32)}
    made = wanted("image: debian-12, kernel: ./bzImage, cmdline: root=/dev/vda1", files=files)
    copy = f"/v/lab/boot/kernel-{'ab' * 8}"
    assert of_kind(made, FileCopy) == [FileCopy(copy, "/src/bzImage")]
    guest = domain(made)
    assert (guest.kernel, guest.cmdline) == (copy, "root=/dev/vda1")
    assert '<boot order="1"/>' not in domain_xml(guest)


def test_a_kernel_that_has_changed_needs_a_restart() -> None:
    files = {("web", "kernel"): BootFile("/src/bzImage", "ab" * 32)}
    old = wanted("kernel: ./bzImage", Image(name="none"), files=files)
    files = {("web", "kernel"): BootFile("/src/bzImage", "cd" * 32)}
    kept = {"web": domain(old)}
    new = wanted("kernel: ./bzImage", Image(name="none"), files=files, kept=kept)
    told = [str(s) for s in diff(new, old)]
    assert any("create domain lab-web: kernel has changed" in line for line in told)


def test_more_disks_follow_the_images_own() -> None:
    files = {("web", "disks/1"): BootFile("/plans/data.img", "")}
    made = wanted(
        "image: debian-12, disks: [10G, {path: data.img, format: raw, readonly: true}, "
        "{device: /dev/disk/by-id/x, cache: none, discard: false}]",
        files=files,
    )
    assert domain(made).disks[1:] == (
        DomainDisk("/v/lab/disk/web.1.qcow2", "qcow2"),
        DomainDisk("/plans/data.img", "raw", readonly=True),
        DomainDisk("/dev/disk/by-id/x", "raw", cache="none", discard=False, kind="block"),
    )
    assert Overlay("/v/lab/disk/web.1.qcow2", 10 * GIB) in of_kind(made, Overlay)


def test_the_least_cpu_that_an_image_runs_on_is_emulated() -> None:
    demanding = replace(DEBIAN, min_cpu="x86-64-v2")
    assert domain(wanted("image: debian-12", demanding)).cpu_model == "Nehalem"
    assert domain(wanted("image: debian-12, cpu_model: max", demanding)).cpu_model == "max"
    assert domain(wanted("image: debian-12")).cpu_model == ""


def test_a_domain_survives_its_mark() -> None:
    made = domain(wanted("image: debian-12, boot: uefi, disks: [1G]", loader=OVMF))
    assert from_mark(to_mark(made)) == made
