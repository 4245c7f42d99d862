"""Write the disk, file by file and byte by byte: no loop device, no mount of a disk."""

import shlex
import shutil
from pathlib import Path

from provisioner.host.image.debian import archive, layout
from provisioner.host.image.debian.archive import Archive
from provisioner.host.image.debian.layout import Layout
from provisioner.host.image.debian.recipe import HOOKS, ROOTFS, DebianRecipe
from provisioner.host.system import programs

_TIMEOUT_S = 120
_INSTALL_TIMEOUT_S = 1800
_GPT_BOOT = Path("/usr/lib/syslinux/mbr/gptmbr.bin")
_SIZE_OF_BOOT_CODE = 440
# mmdebstrap mounts /proc, /sys and devices into the folder. In a namespace of its own these mounts
# and all processes end with it, and it ends with us: whoever clears away after a killed build must
# not walk into /dev.
_ENDS_WITH_US = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)


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


def install(
    recipe: DebianRecipe, source: Archive, plan: Layout, folder: Path, out: Path, disk: Path
) -> None:
    """Write / onto the disk, and what its boot loaders start to the folder `out`. Needs root.

    The package lists are the host's, as they were when the versions were looked up.
    """
    setup = _hook("lists", *source.lists)
    customize = _hook("customize", ROOTFS, " ".join(recipe.masked))
    pack = _hook("pack", out, disk, plan.root_offset, plan.root_kib, plan.uuid("root"))
    argv = [
        *_ENDS_WITH_US,
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=null"),
        # Its cleanup would run apt once more. Our hooks remove what it would, without the one
        # danger: without its own configuration that apt clears the host's folders.
        "--skip=update,cleanup",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={line}" for line in archive.transport()),
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.left_out),
        f"--setup-hook={setup}",
        f"--customize-hook={customize}",
        f"--customize-hook={pack}",
        *(recipe.suite, "-", "-"),
    ]
    programs.run(
        argv,
        timeout_s=_INSTALL_TIMEOUT_S,
        input=source.sources,
        env={"TMPDIR": str(folder)},
        fix="check the network, the proxy of apt and the space on that disk; if it says 404, run"
        " apt-get update as root",
    )


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


def _hook(name: str, *arguments: object) -> str:
    """Return a line for mmdebstrap's shell: the hook, its folder ($1), our arguments."""
    quoted = shlex.join(str(argument) for argument in arguments)
    return f'sh {shlex.quote(str(HOOKS / name))} "$1" {quoted}'
