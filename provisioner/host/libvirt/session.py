"""One plan's libvirt: a daemon that can see our devices, or the one inside ourselves.

It is chosen, opened when it is asked, and closed again, in the worker.
"""

import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path

from provisioner.dataclass import dataclass
from provisioner.distribution import fact
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain
from provisioner.host.libvirt import domains, embedded, half_started
from provisioner.host.libvirt.domains import Domains
from provisioner.host.libvirt.qemu import stray
from provisioner.host.system import paths, plan_folders, processes
from provisioner.network.facts import Chosen, ForeignDomain, Live
from provisioner.reconcile.resources import Look


@dataclass(slots=True)
class LibvirtSession:
    """A plan's libvirt; `on_event(vm, kind, detail)` gets what happens to the plan's VMs."""

    plan: str
    on_event: Callable[[str, str, str], None] = lambda _vm, _kind, _detail: None
    uri: str = ""
    run_dir: Path = Path("/run/libvirt")
    _domains: Domains | None = None
    _made_root: bool = False
    _is_closed: bool = False
    _opening: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_embedded(self) -> bool:
        """Whether it runs in this process: then QEMU's rights to files are vmnet's business."""
        return is_embedded(self.uri)

    @property
    def owner(self) -> tuple[int, int] | None:
        """Who must own what QEMU opens; None where a daemon sees to that, or that is us anyway."""
        return embedded.owner() if self.is_embedded else None

    @property
    def lib_dir(self) -> Path:
        """Return where libvirt has the folders of its domains."""
        root = paths.libvirt_root(self.plan) if self.is_embedded else Path("/var")
        return root / "lib" / ("qemu" if self.is_embedded else "libvirt/qemu")

    def choose(self, wish: str) -> Chosen:
        """Choose the connection, and open it unless domains are half started in it.

        Raises VmnetError when libvirt cannot be reached.
        """
        chosen = choose_connection(wish, self.plan)
        self.uri = chosen.what
        if self.is_embedded:
            stray.refuse_absent_daemon(self.plan)
            self._made_root = not paths.libvirt_root(self.plan).exists()
            self.run_dir = embedded.prepare_root(self.plan) / "run"
            embedded.await_release(self.plan)
        domains.quiet()
        domains.run_events()
        if not self._is_blocked():
            try:
                _ = self.domains  # opens it
            except VmnetError:
                self.abandon()
                raise
        return chosen

    @property
    def domains(self) -> Domains:
        """The connection, opened if it is not yet.

        Raises VmnetError when it cannot be, or domains of the plan are half started in it.
        """
        with self._opening:
            if self._is_closed or not self.uri:
                raise VmnetError(
                    "vmnet's connection to libvirt is closed", fix="run the command again"
                )
            if self._domains is None:
                if self.is_embedded:
                    half_started.refuse(self.plan)
                self._domains = Domains(self.uri, self.plan, self.run_dir, self.on_event)
                if self.is_embedded:
                    embedded.take_back_folders(self.plan)
            return self._domains

    def observe(self) -> tuple[Sequence[Domain], Sequence[ForeignDomain], Sequence[Live]]:
        """List the plan's domains, everybody else's, and what the plan's are made of now.

        Where domains are half started, its records are read instead of opening it.
        """
        if self._domains is None and self._is_blocked():
            found = list(half_started.others(self.plan))
            return [domain for domain, _ in found], [], [live for _, live in found]
        return self.domains.observe()

    def user_of(self, disk: str) -> str:
        """Return the name of the domain that runs on a disk, "" when none does."""
        running = self.domains.running()
        return next((d.name for d in running if any(x.path == disk for x in d.disks)), "")

    def pid_file(self, domain: str) -> Path:
        """Return where libvirt writes the pid of a domain's QEMU."""
        return self.run_dir / "qemu" / f"{domain}.pid"

    def abandon(self) -> None:
        """Close it, and take away the root that was laid out for it, unless VMs run in it."""
        self.close()
        if self._made_root and not embedded.has_vms(self.plan):
            plan_folders.clear_root(self.plan)

    def close(self) -> None:
        """Close the connection for good; the guests run on."""
        with self._opening:
            self._is_closed = True
            if self._domains:
                self._domains.close()
                self._domains = None

    def _is_blocked(self) -> bool:
        return self.is_embedded and bool(half_started.observe(Look(self.plan)))


def choose_connection(wish: str, plan: str) -> Chosen:
    """Return the URI to open and why; `wish` is "auto" or a libvirt URI.

    The embedded driver's URI is written here and nowhere else: its root decides what runs as root.
    """
    if wish != "auto":
        return Chosen(wish, "the plan or --connection names it")
    inside = f"qemu:///embed?root={paths.libvirt_root(plan)}"
    if embedded.has_vms(plan):
        return Chosen(inside, "this plan's VMs were started by vmnet's embedded libvirt")
    return offered(inside)


def offered(inside: str) -> Chosen:
    """Return the URI for a plan that has no VMs yet; `inside` is that of its embedded libvirt."""
    # That of one driver first: where both are, the other leads to it (virtproxyd).
    for path in sorted({*fact("socket").values()}, reverse=True):
        pid = _listener(path)
        if pid is None:
            continue
        if not _same_network(pid):
            return Chosen(
                inside,
                f"embedded libvirt: the daemon at {path} runs in another network namespace, "
                "where it cannot see this one's devices",
            )
        return Chosen("qemu:///system", f"a libvirt daemon answers at {path}")
    return Chosen(inside, "embedded libvirt: no libvirt daemon answers")


def _listener(path: str) -> int | None:
    """Return the pid of whoever listens on a Unix socket, None when nobody does."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(2)
        try:
            s.connect(path)
        except OSError:
            return None
        pid, _, _ = struct.unpack("=iii", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


def _same_network(pid: int) -> bool:
    try:
        return processes.network_namespace(pid) == processes.network_namespace()
    except OSError:
        return True  # hidden from us: libvirt itself reports what is wrong


def is_embedded(uri: str) -> bool:
    """Return whether a URI means the driver inside our own process."""
    return uri.startswith("qemu:///embed")
