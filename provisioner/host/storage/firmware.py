"""UEFI for guests: where distributions put OVMF."""

from pathlib import Path

from provisioner.guest.boot import Loader

# The code without secure boot, and the variables that go with it: Debian and Ubuntu, Fedora and
# its relatives, Arch, openSUSE. qemu_fwcfg descriptors hold the same at more length.
_KNOWN = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
)


def loader() -> Loader | None:
    """Return UEFI's code and variables, None where there are none."""
    for code, variables in _KNOWN:
        if Path(code).exists() and Path(variables).exists():
            return Loader(code, variables)
    return None
