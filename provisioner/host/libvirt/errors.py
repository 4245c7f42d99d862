"""libvirt's errors as vmnet's: what was being done, libvirt's text, and a fix."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from provisioner.errors import Exit, VmnetError
from provisioner.host.system import file_errors
from provisioner.pattern import pattern
from provisioner.text import one_line

_ENDED = "the libvirt daemon has ended: start it again (systemctl start libvirtd), then vmnet up"
_CHILD = pattern(r"Child process \(.*?\) unexpected (exit status|fatal signal) (\d+)", re.DOTALL)
"""libvirt prints the whole command line of a program before what the program has printed."""
_FIXES = (
    ("client socket is closed", _ENDED),
    ("Cannot recv data", _ENDED),
    ("End of file while reading data", _ENDED),
    ("Cannot write data", _ENDED),
    ("Cannot access storage file", "the file must be readable for the user that QEMU runs as"),
    ("Permission denied", "the file must be readable for the user that QEMU runs as"),
    ("already exists with uuid", "another domain has this name: rename the plan or the VM"),
    (
        "connection-driver",
        "install libvirt's QEMU driver again: apt-get install libvirt-daemon-driver-qemu",
    ),
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


def converted(error: Any, doing: str) -> VmnetError:
    """Return a libvirtError as a VmnetError; `doing` is what was being done."""
    whole = _CHILD.sub(r"a program ended with \1 \2", str(error).removeprefix("internal error: "))
    text = one_line(whole, 600)
    fix = file_errors.no_space_fix(whole) or next(
        (fix for part, fix in _FIXES if part in whole), None
    )
    return VmnetError(
        f"{doing}: {text}",
        fix=fix or "QEMU's own messages are in the log: vmnet logs --qemu VM",
        status=Exit.HOST_CANNOT,
    )


@contextmanager
def converting(doing: str) -> Iterator[None]:
    """Raise a VmnetError for each libvirtError in the block; `doing` is what is being done."""
    import libvirt

    try:
        yield
    except libvirt.libvirtError as error:
        raise converted(error, doing) from error
