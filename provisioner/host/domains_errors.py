"""What libvirt complains of, in the user's words and with a mend."""

from typing import Any

from provisioner.core.text import one_line
from provisioner.errors import Exit, VmnetError

_MENDS = (
    ("Cannot access storage file", "the file must be readable for the user that QEMU runs as"),
    ("Permission denied", "the file must be readable for the user that QEMU runs as"),
    ("already exists with uuid", "another domain has this name: rename the plan or the VM"),
    ("connection-driver", "reinstall the Debian package libvirt-daemon-driver-qemu"),
    (
        "no connection driver",
        "install libvirt's QEMU driver: apt-get install libvirt-daemon-driver-qemu",
    ),
    ("Cannot find QEMU binary", "install QEMU: apt-get install qemu-system-x86"),
    ("does not exist", "run vmnet up again: it makes what is missing"),
    ("Failed to connect socket", "start the libvirt daemon, or write `connection: auto`"),
    ("Failed to acquire pid file", "another process has this plan's libvirt open: wait for it"),
    ("Cannot allocate memory", "give the VMs less memory, or start fewer of them"),
)


def told(error: Any, doing: str) -> VmnetError:
    """Turn a libvirtError into ours; `doing` is what was being done."""
    text = one_line(str(error).removeprefix("internal error: "), 600)
    fix = next((fix for part, fix in _MENDS if part in text), None)
    return VmnetError(
        f"{doing}: {text}",
        fix=fix or "QEMU's own words are in the log: vmnet logs --qemu VM",
        status=Exit.HOST_CANNOT,
    )
