"""A guest that comes to this host while it runs; in the worker.

Its macvtaps stay down while it runs elsewhere: nothing on this host takes its frames yet. When
libvirt says that it runs here they go up and the LAN is told, in libvirt's own event: another
process would be asked too late for neighbours not to notice.
"""

import os
import shutil
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.distribution import fact
from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import Domain
from provisioner.host.domain import own_log
from provisioner.host.jail import folders, users
from provisioner.host.libvirt import definitions
from provisioner.host.libvirt.moving.migration import RESUMED, STARTED, Listener
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.host.network import macvtap
from provisioner.host.system import paths
from provisioner.host.system.worker import limit

LIBVIRT, MEMORY, DISKS = "libvirt", "memory", "disks"
"""The sockets in the folder of a move: of the libvirt that takes the guest, and of its QEMU."""


@dataclass(slots=True)
class _Expected:
    """A guest that is expected, and what has become of it."""

    frames: Mapping[str, Sequence[bytes]]  # by macvtap
    lib_dir: Path
    runs: threading.Event = field(default_factory=threading.Event)
    failed: VmnetError | None = None
    listener: Listener | None = None

    def told(self, event: int, number: int) -> None:
        """Take note of what libvirt tells; it is called in the thread of libvirt's events."""
        if event == STARTED:
            # Its QEMU waits for the first byte of the guest.
            folders.take_started(self.lib_dir, number)
        if event == RESUMED:
            try:
                for link, frames in self.frames.items():
                    macvtap.plug(link, up=True)
                    _send(link, frames)
            except VmnetError as error:
                self.failed = error
            self.runs.set()


_EXPECTED: dict[str, _Expected] = {}


def sockets_folder(plan: str, vm: str) -> Path:
    """Return where the sockets of a move are: the same path on both hosts, as libvirt wants it."""
    return paths.moves(plan) / naming.digest("move", vm)


def expect(libvirt: LibvirtSession, domain: Domain, frames: Mapping[str, Sequence[bytes]]) -> None:
    """Make all ready for a guest whose files and devices are there: libvirt may be given it.

    `frames` are sent on each of its macvtaps when it runs. Raises VmnetError when it cannot come.
    """
    definitions.clear(libvirt.domains, domain)
    own_log(Path(domain.console))
    users.hand_over(domain, libvirt.owner)
    _make_sockets(domain)
    expected = _Expected(frames, libvirt.lib_dir)
    expected.listener = Listener(libvirt.uri, domain.name, expected.told)
    _EXPECTED[domain.name] = expected


def has_come(libvirt: LibvirtSession, name: str, within_s: float) -> bool:
    """Wait until an expected guest runs here; return whether it does.

    Raises VmnetError when it runs and its macvtaps could not be set up.
    """
    del libvirt
    expected = _EXPECTED[name]
    expected.runs.wait(within_s)
    if expected.failed:
        raise expected.failed
    return expected.runs.is_set()


@limit(60.0, "the guest that has not come could not be ended")
def forget(libvirt: LibvirtSession, domain: Domain, *, stays: bool) -> None:
    """Expect a guest no more; unless it `stays`, end what has come of it. Raises VmnetError."""
    expected = _EXPECTED.pop(domain.name, None)
    if expected and expected.listener:
        expected.listener.close()
    if not stays:
        libvirt.domains.destroy(domain)
    remove_folder(sockets_folder(domain.plan, domain.vm))


def _send(link: str, frames: Sequence[bytes]) -> None:
    """Send frames on a macvtap; for one that is lost the guest's next will do."""
    with suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((link, 0))
        for frame in frames:
            wire.send(frame)


def _make_sockets(domain: Domain) -> None:
    """Make the folder of a move; nobody but its QEMU's user, and root, gets into it."""
    folder = sockets_folder(domain.plan, domain.vm)
    make_folder(folder)
    known = sorted({*fact("socket").values()}, reverse=True)
    found = next((path for path in known if Path(path).is_socket()), "")
    if not found:
        raise VmnetError(
            "no libvirt daemon has a socket on this host",
            fix="start the libvirt daemon: systemctl start libvirtd",
            status=Exit.HOST_CANNOT,
        )
    (folder / LIBVIRT).symlink_to(found)
    if domain.uid:
        os.chown(folder, domain.uid, domain.gid)


def make_folder(folder: Path) -> None:
    """Make the folder of a move, empty. Raises OSError."""
    shutil.rmtree(folder, ignore_errors=True)
    paths.make(folder.parent)
    folder.mkdir(0o700)


def remove_folder(folder: Path) -> None:
    """Remove the folder of a move; one that is gone is fine."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # other moves are under way
        folder.parent.rmdir()
        folder.parent.parent.rmdir()
