"""What images demand of the VMs that boot them, each at its place in the plan."""

from dataclasses import replace

from provisioner.errors import Exit
from provisioner.guest.boot import Loader
from provisioner.guest.domain import Image, Overlay
from provisioner.plan.load.loader import load
from provisioner.preflight.images import complaints

GIB = 1 << 30
DEBIAN = Image(
    name="debian-12",
    disk="/images/sha256-aa",
    size=2 * GIB,
    boot=("bios",),
    min_memory_mib=384,
)
BOTH = Image(name="both", disk="/images/sha256-bb", size=GIB, boot=("bios", "uefi"))
OVMF = Loader("/code", "/vars")


def told(
    words: str,
    image: Image = DEBIAN,
    there: dict[str, Overlay] | None = None,
    loader: Loader | None = OVMF,
) -> list[tuple[str, str | None, Exit]]:
    text = (
        "name: lab\nnetworks: {lan: {switch: true, subnet: 10.77.0.0/24}}\n"
        f"vms: {{web: {{nics: [lan], {words}}}}}"
    )
    loaded = load(text, "p")
    found = complaints(loaded.plan, loaded.places, {"web": image}, there or {}, loader)
    return [(f"{e.where}: {e.what}", e.fix, e.status) for e in found]


def test_a_plan_that_suits_its_image_is_not_complained_of() -> None:
    assert told("image: debian-12, memory: 384M, boot: bios, disk: 2G") == []


def test_too_little_memory_for_an_image() -> None:
    assert told("image: debian-12, memory: 256M") == [
        (
            "p:3:52: the image debian-12 needs 384 MiB of memory, web is to have 256",
            "give it 384M, or leave memory out",
            Exit.BAD_INPUT,
        )
    ]


def test_an_image_that_does_not_boot_that_way() -> None:
    assert told("image: debian-12, boot: uefi") == [
        (
            "p:3:50: the image debian-12 does not boot by uefi",
            "it boots by bios: leave boot out",
            Exit.BAD_INPUT,
        )
    ]


def test_uefi_without_its_firmware_on_the_host() -> None:
    lacks = "web boots by UEFI, and there is no OVMF on this host"
    fix = "install it: apt-get install ovmf"
    alone = replace(BOTH, boot=("uefi",))
    for words, image, place in (("both, boot: uefi", BOTH, "3:45"), ("both", alone, "3:33")):
        found = told(f"image: {words}", image, loader=None)
        assert found == [(f"p:{place}: {lacks}", fix, Exit.HOST_CANNOT)]
        assert told(f"image: {words}", image) == []
    assert told("image: debian-12", loader=None) == []


def test_a_disk_smaller_than_the_image() -> None:
    assert told("image: debian-12, disk: 1G") == [
        (
            "p:3:50: the disk of the image debian-12 has 2048 MiB, web is to have 1024",
            "give it 2048M or more, or leave disk out",
            Exit.BAD_INPUT,
        )
    ]


def test_a_disk_that_would_shrink_keeps_what_the_guest_has_written() -> None:
    there = {
        path: Overlay(path, 20 * GIB)
        for path in ("/v/lab/disk/web.qcow2", "/v/lab/disk/web.1.qcow2")
    }
    lost = (
        "has 20480 MiB and would have to shrink: what the guest has written at its end would be "
        "lost"
    )
    fix = "write 20480M or more; to begin anew: vmnet down --disks, vmnet up"
    assert told("image: debian-12, disk: 10G, disks: [5G]", there=there) == [
        (f"p:3:50: web.qcow2 {lost}", fix, Exit.CONFLICT),
        (f"p:3:63: web.1.qcow2 {lost}", fix, Exit.CONFLICT),
    ]
    assert told("image: debian-12, disk: 20G, disks: [20G]", there=there) == []
    assert told("image: debian-12, disk: 30G, disks: [30G]", there=there) == []
