"""libvirt, and the only room that speaks to it; lives in the worker process.

Everything it does not check about an unmanaged device (libvirt 9.0 starts a domain on a device that
is down, has another MAC, or is open elsewhere) has been proved by host.taps before `create`.
"""

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from html import unescape
from pathlib import Path
from typing import Any

from provisioner.errors import VmnetError
from provisioner.guest.domain import NAMESPACE, Domain
from provisioner.guest.xml.render import from_mark
from provisioner.host.libvirt.errors import told
from provisioner.host.libvirt.hotplug import DomainNics, xml_of
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
        try:
            self._conn = libvirt.open(uri)
        except libvirt.libvirtError as error:
            raise told(error, f"opening {uri}") from error
        on = self._conn.domainEventRegisterAny
        try:
            on(None, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, self._on_agent, None)
            on(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle, None)
        except libvirt.libvirtError as error:
            raise told(error, f"asking {uri} for events") from error

    def close(self) -> None:
        """Let go of the connection; the guests run on."""
        import libvirt

        with suppress(libvirt.libvirtError):  # the daemon has ended
            self._conn.close()

    def observe(self) -> tuple[list[Domain], list[ForeignDomain], list[Live]]:
        """List the plan's domains, everybody else's, and what the plan's are made of now."""
        import libvirt

        ours, foreign, live = [], [], []
        try:
            every = self._conn.listAllDomains(0)
        except libvirt.libvirtError as error:
            raise told(error, "listing the domains") from error
        for dom in every:
            try:
                name, uuid, mark = dom.name(), dom.UUIDString(), _mark(dom)
                state = dom.state()[0]
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    continue  # it ended while we looked
                raise told(error, "reading the domains") from error
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
        """Give the pid of a domain's QEMU, 0 when it has none."""
        try:
            return int((self._run_dir / "qemu" / f"{name}.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def create(self, domain: Domain, xml: str) -> None:
        """Start a transient domain. Raises VmnetError with libvirt's reason."""
        import libvirt

        try:
            self._conn.createXML(xml, 0)
        except libvirt.libvirtError as error:
            raise told(error, f'starting VM "{domain.vm}"') from error

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
                raise told(error, f'ending VM "{domain.vm}"') from error

    def resize(self, name: str, path: str, size: int) -> None:
        """Let a running guest's disk grow to `size` bytes. Raises VmnetError when it cannot."""
        import libvirt

        try:
            dom = self._conn.lookupByName(name)
            dom.blockResize(path, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        except libvirt.libvirtError as error:
            raise told(error, f"letting the disk {path} grow") from error

    @property
    def cards(self) -> DomainNics:
        """The network cards of running domains."""
        return DomainNics(self._conn)

    def agent_connected(self, domain: str) -> bool:
        """Tell whether the guest agent has opened its port, and libvirt its own end."""
        import libvirt

        try:
            found = self._conn.lookupByName(domain)
            # Waits until a libvirt that has just been opened has joined the domain again: the XML,
            # read from the disk, says "connected" before that (libvirt 9.0, qemuProcessReconnect).
            found.memoryStats()
            xml = found.XMLDesc(0)
        except libvirt.libvirtError:
            return False
        return bool(re.search(r"org\.qemu\.guest_agent\.0['\"] state=['\"]connected", xml))

    def agent(self, domain: str, command: str, timeout_s: int) -> str:
        """Send one command (JSON) to the guest agent and give its answer (JSON).

        The answer is the guest's word: hostile. Raises VmnetError when there is no answer.
        """
        import libvirt
        import libvirt_qemu

        try:
            found = self._conn.lookupByName(domain)
            return str(libvirt_qemu.qemuAgentCommand(found, command, timeout_s, 0))
        except libvirt.libvirtError as error:
            raise told(error, f'asking the guest agent of "{domain}"') from error

    def terminal(self, domain: str) -> str:
        """Give the pseudo-terminal that a domain's serial line ends in.

        Raises VmnetError when the domain is not there.
        """
        found = re.search(
            r"<serial type='pty'>\s*<source path='(/dev/pts/\d+)'", xml_of(self._conn, domain)
        )
        if not found:
            raise VmnetError(f'"{domain}" has no serial line', fix="bring it up again: vmnet up")
        return found[1]

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
    """Give the text of our element in a domain's metadata, None when there is none."""
    import libvirt

    try:
        xml = dom.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
    return unescape(re.sub(r"<[^>]*>", "", xml)).strip()
