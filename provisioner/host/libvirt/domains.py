"""The domains of a plan, over one libvirt connection; runs in the worker process.

libvirt 9.0 starts a domain on an unmanaged device that is down, has another MAC, or is open
elsewhere: host/network/tap_node.py has checked all that before `create`.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from provisioner.errors import VmnetError
from provisioner.guest.domain import NAMESPACE, Domain
from provisioner.guest.xml.render import from_mark
from provisioner.host.libvirt.errors import converted, converting
from provisioner.host.libvirt.hotplug import DomainNics, description
from provisioner.network.facts import ForeignDomain, Live

_STATES = (
    "no state",
    "running",
    "blocked",
    "paused",
    "shutting down",
    "shut off",
    "crashed",
    "suspended",
)
_AGENT_CONNECTED = 1
_STARTED_EVENT, _STOPPED_EVENT = 2, 5
_STOP_REASONS = ("shut down", "destroyed", "crashed", "migrated", "saved", "failed", "restored")


def warm_up() -> None:
    """Import what takes long, while there is time."""
    import libvirt_qemu  # noqa: F401


def quiet() -> None:
    """Keep libvirt's own log off the terminal: what matters arrives as an error anyway."""
    import libvirt

    libvirt.registerErrorHandler(lambda *_: None, None)


def run_events() -> None:
    """Run libvirt's event loop in a thread; the embedded driver does not open without one."""
    import libvirt

    libvirt.virEventRegisterDefaultImpl()

    def loop() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, daemon=True, name="libvirt events").start()


class Domains:
    """The domains of one plan, over one connection."""

    def __init__(
        self, uri: str, plan: str, run_dir: Path, tell: Callable[[str, str, str], None]
    ) -> None:
        """Open the connection; `tell(vm, kind, detail)` gets what happens to the plan's VMs.

        Raises VmnetError when libvirt cannot be reached.
        """
        import libvirt

        self._plan = plan
        self._run_dir = run_dir
        self._tell = tell
        with converting(f"opening {uri}"):
            self._conn = libvirt.open(uri)
        on = self._conn.domainEventRegisterAny
        with converting(f"asking {uri} for events"):
            on(None, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, self._on_agent, None)
            on(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle, None)

    def close(self) -> None:
        """Close the connection; the guests run on."""
        import libvirt

        with suppress(libvirt.libvirtError):  # the daemon has ended
            self._conn.close()

    def observe(self) -> tuple[list[Domain], list[ForeignDomain], list[Live]]:
        """List the plan's domains, everybody else's, and what the plan's are made of now."""
        import libvirt

        ours, foreign, live = [], [], []
        with converting("listing the domains"):
            every = self._conn.listAllDomains(0)
        for dom in every:
            try:
                name, uuid, mark = dom.name(), dom.UUIDString(), _mark(dom)
                state = dom.state()[0]
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    continue  # it ended while we looked
                raise converted(error, "reading the domains") from error
            domain = from_mark(mark) if mark else None
            if domain and domain.plan == self._plan and domain.name == name:
                live.append(Live(domain.vm, _STATES[state], self.pid(name), ()))
                # A domain that was defined by hand from ours, and is off, is still to be started.
                if state not in {0, 5}:
                    ours.append(domain)
            else:
                foreign.append(ForeignDomain(name, uuid))
        return ours, foreign, live

    def pid(self, name: str) -> int:
        """Return the pid of a domain's QEMU, 0 when it has none."""
        try:
            return int((self._run_dir / "qemu" / f"{name}.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def create(self, domain: Domain, xml: str) -> None:
        """Start a transient domain. Raises VmnetError with libvirt's reason."""
        with converting(f'starting VM "{domain.vm}"'):
            self._conn.createXML(xml, 0)

    def destroy(self, domain: Domain) -> None:
        """End a domain at once; one that has ended already is fine."""
        import libvirt

        try:
            self._conn.lookupByName(domain.name).destroy()
        except libvirt.libvirtError as error:
            # After a reopen the monitor's end of file may win the race (libvirt 9.0).
            if error.get_error_code() not in {
                libvirt.VIR_ERR_NO_DOMAIN,
                libvirt.VIR_ERR_OPERATION_INVALID,
            }:
                raise converted(error, f'ending VM "{domain.vm}"') from error

    def resize(self, name: str, path: str, size: int) -> None:
        """Let a running guest's disk grow to `size` bytes. Raises VmnetError when it cannot."""
        import libvirt

        with converting(f"letting the disk {path} grow"):
            dom = self._conn.lookupByName(name)
            dom.blockResize(path, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

    @property
    def nics(self) -> DomainNics:
        """The NICs of running domains."""
        return DomainNics(self._conn)

    def agent_connected(self, domain: str) -> bool:
        """Return whether the guest agent has opened its port, and libvirt its own end."""
        import libvirt

        try:
            found = self._conn.lookupByName(domain)
            # Waits until a libvirt that has just been opened has joined the domain again: the XML,
            # read from the disk, says "connected" before that (libvirt 9.0, qemuProcessReconnect).
            found.memoryStats()
            xml = ET.fromstring(found.XMLDesc(0))  # noqa: S314  (libvirt's own)
        except libvirt.libvirtError:
            return False
        ports = xml.iterfind("devices/channel/target[@name='org.qemu.guest_agent.0']")
        return any(port.get("state") == "connected" for port in ports)

    def agent(self, domain: str, command: str, timeout_s: int) -> str:
        """Send one command (JSON) to the guest agent and give its answer (JSON).

        The guest writes the answer: it is hostile. Raises VmnetError when there is no answer.
        """
        import libvirt_qemu

        with converting(f'asking the guest agent of "{domain}"'):
            found = self._conn.lookupByName(domain)
            return str(libvirt_qemu.qemuAgentCommand(found, command, timeout_s, 0))

    def terminal(self, domain: str) -> str:
        """Return the pseudo-terminal that a domain's serial line ends in.

        Raises VmnetError when the domain is not there.
        """
        source = description(self._conn, domain).find("devices/serial[@type='pty']/source")
        path = source.get("path", "") if source is not None else ""
        if not path.startswith("/dev/pts/"):
            raise VmnetError(f'"{domain}" has no serial line', fix="bring it up again: vmnet up")
        return path

    def _on_agent(self, _: object, dom: Any, state: int, _reason: int, _o: object) -> None:
        if state == _AGENT_CONNECTED and (vm := self._vm_of(dom)):
            self._tell(vm, "agent", "")

    def _on_lifecycle(self, _: object, dom: Any, event: int, detail: int, _o: object) -> None:
        vm = self._vm_of(dom)
        if vm and event == _STARTED_EVENT:
            self._tell(vm, "started", "")
        if vm and event == _STOPPED_EVENT:
            reason = _STOP_REASONS[detail] if detail < len(_STOP_REASONS) else str(detail)
            self._tell(vm, "stopped", reason)

    def _vm_of(self, dom: Any) -> str | None:
        prefix = f"{self._plan}-"
        name = str(dom.name())
        return name.removeprefix(prefix) if name.startswith(prefix) else None


def _mark(dom: Any) -> str | None:
    """Return the text of our element in a domain's metadata, None when there is none."""
    import libvirt

    try:
        xml = dom.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
    return "".join(ET.fromstring(xml).itertext()).strip()  # noqa: S314  (libvirt's own)
