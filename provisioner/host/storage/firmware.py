"""UEFI for guests: where distributions put OVMF."""

from pathlib import Path

from provisioner.distribution import fact
from provisioner.guest.boot import Loader

# Beside the table's: Debian's of 2 MiB, and openSUSE's. qemu_fwcfg descriptors hold the same at
# more length.
_MORE = (
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
)


def loader() -> Loader | None:
    """Return UEFI's code and variables, those without secure boot; None where there are none."""
    codes, variables = fact("uefi-code"), fact("uefi-variables")
    for code, stored in (*((codes[name], variables[name]) for name in codes), *_MORE):
        if Path(code).exists() and Path(stored).exists():
            return Loader(code, stored)
    return None
