"""Write the disk, file by file and byte by byte: no loop device, no mount, no root."""

import shutil
from pathlib import Path

from provisioner.host.image.debian import layout
from provisioner.host.image.debian.layout import Layout
from provisioner.host.system import programs

_TIMEOUT_S = 120
_GPT_BOOT = Path("/usr/lib/syslinux/mbr/gptmbr.bin")
_SIZE_OF_BOOT_CODE = 440


def boot_code() -> bytes:
    """Return the boot sector's program that starts syslinux; raises OSError when it is missing."""
    return _GPT_BOOT.read_bytes()


def blank(disk: Path, plan: Layout) -> None:
    """Make an empty disk with its partition table and its boot sector."""
    with disk.open("wb") as file:
        file.truncate(plan.size_mib * layout.MIB)
    _run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(disk), stdin=plan.table)
    with disk.open("r+b") as file:
        file.write(boot_code()[:_SIZE_OF_BOOT_CODE])


def fill_esp(disk: Path, plan: Layout, folder: Path, out: Path, files: dict[str, str]) -> None:
    """Make the EFI system partition: what `pack` left in `out`, the loaders, their files."""
    tree = folder / "esp"
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    fallback = tree / "EFI" / "BOOT" / "BOOTX64.EFI"  # what firmware starts that knows no entry
    fallback.parent.mkdir(parents=True)
    shutil.move(out / "bootx64.efi", fallback)
    for name in ("vmlinuz", "initrd"):
        shutil.copyfile(out / name, tree / name)
    at, sectors = plan.esp_offset, plan.esp_offset // 512
    # The blocks are counted by us: the file is larger, and mkfs.vfat warns of it.
    _run(
        *("mkfs.vfat", "-F", "16", "-n", "ESP", "-i", plan.uuid("esp")[:8]),
        *("-h", str(sectors), "--offset", str(sectors), str(disk), str(plan.esp_mib * 1024)),
    )
    names = [str(path) for path in sorted(tree.iterdir())]
    _run("mcopy", "-s", "-Q", "-i", f"{disk}@@{at}", *names, "::")
    _run("syslinux", "--install", "--offset", str(at), "--directory", "syslinux", str(disk))


def to_qcow2(disk: Path, qcow2: Path) -> None:
    """Write the disk as qcow2; holes stay holes."""
    _run("qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(disk), str(qcow2))


def _run(*argv: str, stdin: str | None = None) -> None:
    programs.run(argv, timeout_s=_TIMEOUT_S, input=stdin, env={"MTOOLS_SKIP_CHECK": "1"})
