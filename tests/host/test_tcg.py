"""Why an emulated machine has room for two vCPUs: without, TCG drops the guest's barriers."""

import subprocess
from pathlib import Path

import pytest

_BOOT_SECTOR = b"\xf0\x66\x83\x00\x00\xe6\xf4".ljust(510, b"\0") + b"\x55\xaa"
"""lock addl $0, (%bx,%si), the barrier of Linux's virtio_mb() on x86; out %al, $0xf4: the end."""


def _translated(folder: Path, smp: str) -> str:
    """Return what TCG makes of the boot sector on a machine with these vCPUs, as its own log."""
    image, log = folder / "boot.img", folder / "log"
    image.write_bytes(_BOOT_SECTOR)
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-smp", smp, "-m", "16", "-nodefaults"]
    argv += ["-display", "none", "-drive", f"file={image},format=raw,if=ide"]
    argv += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-d", "in_asm,op", "-D", str(log)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode & 1, ran.stderr  # isa-debug-exit ends with an odd status
    text = log.read_text(errors="replace")
    return text[text.index("0x00007c00:") :]


@pytest.mark.parametrize(("smp", "is_atomic"), [("1", False), ("1,maxcpus=2", True)])
def test_tcg_keeps_a_locked_instruction_where_a_second_vcpu_has_room(
    tmp_path: Path, smp: str, *, is_atomic: bool
) -> None:
    assert ("atomic_add_fetch" in _translated(tmp_path, smp)) is is_atomic
