"""The domains of a plan, over one libvirt connection; runs in the worker process.

libvirt 9.0 starts a domain on an unmanaged device that is down, has another MAC, or is open
elsewhere: host/network/tap_node.py has checked all that before `create`.
"""

import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from provisioner.check.readiness import AgentSeen
from provisioner.errors import VmnetError
from provisioner.guest.domain import NAMESPACE, Domain
from provisioner.guest.domain_state import as_found
from provisioner.guest.xml.render import from_mark
from provisioner.host.libvirt import domain_look
from provisioner.host.libvirt.domain_look import STATES
from provisioner.host.libvirt.errors import converted, converting
from provisioner.host.libvirt.qemu_process import age_s, read_pid, stopped, wake
from provisioner.host.system import systemd
from provisioner.network.facts import ForeignDomain, Live

EXPIRY = "urn:vmnet:expiry:1"
"""The namespace of the element in a domain's metadata that says until when its plan is up."""

_OFF = frozenset({"no state", "shut off"})
_AGENT_CONNECTED = 1
_DETACH_S, _POLL_S = 20, 0.02
_SHUTDOWN_AGENT_S = 5
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
        self, uri: str, plan: str, run_dir: Path, on_event: Callable[[str, str, str], None]
    ) -> None:
        """Open the connection; `on_event(vm, kind, detail)` gets what happens to the plan's VMs.

        Raises VmnetError when libvirt cannot be reached.
        """
        import libvirt

        self._plan = plan
        self._run_dir = run_dir
        self._on_event = on_event
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

    @property
    def connection(self) -> Any:
        """The connection itself, for the modules beside this one."""
        return self._conn

    def lookup(self, name: str) -> Any:
        """Return libvirt's handle of a domain. Raises VmnetError when it is not there."""
        with converting(f"looking for {name}"):
            return self._conn.lookupByName(name)

    def observe(self) -> tuple[list[Domain], list[ForeignDomain], list[Live]]:
        """List the plan's domains, everybody else's, and what the plan's are made of now."""
        every, foreign = self._every()
        # A domain that was defined by hand from ours, and is off, is still to be started.
        live = [Live(domain.vm, state, 0, ()) for _, domain, state in every if state in _OFF]
        asked = [(d, domain, self._pid(d)) for d, domain, state in every if state not in _OFF]
        with converting("reading the domains"):
            looks = domain_look.found([(d, pid) for d, _, pid in asked])
        running = []
        may_define = systemd.has_hook_for(self._plan)  # a domain may stay defined, then
        for (_, domain, pid), found in zip(asked, looks, strict=True):
            if found is None:
                continue  # it ended while we looked
            kept = found.is_persistent and not may_define
            seen = as_found(domain, replace(found, is_persistent=kept))
            live.append(Live(domain.vm, seen.state, 0 if found.has_ended else pid, ()))
            if not found.has_ended:
                running.append(seen)
        return running, foreign, live

    def running(self) -> list[Domain]:
        """List the plan's domains that run, as their marks tell them."""
        return [domain for _, domain, state in self._every()[0] if state not in _OFF]

    def _every(self) -> tuple[list[tuple[Any, Domain, str]], list[ForeignDomain]]:
        """List the plan's domains with their marks and states, and everybody else's."""
        import libvirt

        ours, foreign = [], []
        with converting("listing the domains"):
            every = self._conn.listAllDomains(0)
        for dom in every:
            try:
                name, uuid, mark = dom.name(), dom.UUIDString(), metadata(dom, NAMESPACE)
                state = STATES[dom.state()[0]]
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    continue  # it ended while we looked
                raise converted(error, "reading the domains") from error
            domain = from_mark(mark) if mark else None
            if domain and domain.plan == self._plan and domain.name == name:
                ours.append((dom, domain, state))
            else:
                foreign.append(ForeignDomain(name, uuid))
        return ours, foreign

    def _pid(self, dom: Any) -> int:
        return read_pid(self._run_dir / "qemu" / f"{dom.name()}.pid")

    def create(self, domain: Domain, xml: str) -> None:
        """Start a transient domain, paused. Raises VmnetError with libvirt's reason."""
        import libvirt

        with converting(f'starting VM "{domain.vm}"'):
            self._conn.createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED)

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

    def runs(self, name: str) -> bool:
        """Return whether a domain has a QEMU; QEMU itself is not asked."""
        import libvirt

        try:
            return bool(self._conn.lookupByName(name).state()[0] != libvirt.VIR_DOMAIN_SHUTOFF)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return False
            raise converted(error, f'looking for "{name}"') from error

    def ask_to_shut_down(self, name: str, pid_file: Path, *, by_agent: bool) -> None:
        """Ask a guest to shut down: by its agent if it has one, else by its power button.

        One that is paused is resumed, since it would hear nothing. It may wait for QEMU or for the
        agent until the guest has ended; nothing is said when they refuse.
        """
        import libvirt

        wake(pid_file, name)
        with suppress(libvirt.libvirtError):
            dom = self._conn.lookupByName(name)
            if dom.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                dom.resume()
            if by_agent and self.agent_connected(name):
                dom.agentSetResponseTimeout(_SHUTDOWN_AGENT_S, 0)
                with suppress(libvirt.libvirtError):
                    dom.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)
                    return
            dom.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)

    def pause(self, name: str) -> None:
        """Halt a domain's processors. Raises VmnetError."""
        with converting(f'pausing "{name}"'):
            self._conn.lookupByName(name).suspend()

    def resume(self, name: str) -> None:
        """Let a domain go on that is paused. Raises VmnetError."""
        with converting(f'resuming "{name}"'):
            self._conn.lookupByName(name).resume()

    def number(self, name: str) -> int:
        """Return libvirt's number for a domain that runs. Raises VmnetError."""
        with converting(f'asking for the number of "{name}"'):
            return int(self._conn.lookupByName(name).ID())

    def max_memory(self, name: str) -> int:
        """Return how much memory a domain may have, in bytes. Raises VmnetError."""
        with converting(f'asking for the memory of "{name}"'):
            return int(self._conn.lookupByName(name).maxMemory()) << 10

    def resize(self, name: str, path: str, size: int) -> None:
        """Let a running guest's disk grow to `size` bytes. Raises VmnetError when it cannot."""
        import libvirt

        with converting(f"letting the disk {path} grow"):
            dom = self._conn.lookupByName(name)
            dom.blockResize(path, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

    def nics_of(self, name: str) -> set[str]:
        """Return the devices that a running domain's NICs are on.

        Raises VmnetError when the domain is not there.
        """
        targets = self._description(name).iterfind("devices/interface/target")
        return {target.get("dev", "") for target in targets} - {""}

    def attach(self, domain: Domain, link: str, xml: str) -> None:
        """Attach a NIC to a running domain. Raises VmnetError with libvirt's reason."""
        import libvirt

        with converting(f'attaching a NIC on {link} to VM "{domain.vm}"'):
            dom = self._conn.lookupByName(domain.name)
            dom.attachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def detach(self, domain: Domain, link: str) -> None:
        """Detach a NIC from a running domain; the guest is asked to release it.

        Raises VmnetError when it does not do so in time.
        """
        import libvirt

        doing = f'detaching the NIC on {link} from VM "{domain.vm}"'
        nics = self._description(domain.name).iterfind("devices/interface")
        found = next((x for x in nics if x.find(f"target[@dev='{link}']") is not None), None)
        if found is None:
            return
        with converting(doing):
            dom = self._conn.lookupByName(domain.name)
            dom.detachDeviceFlags(ET.tostring(found, "unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        end = time.monotonic() + _DETACH_S
        while link in self.nics_of(domain.name):
            # libvirt's event would do as well, but may come before this is asked.
            if time.monotonic() > end:
                raise VmnetError(
                    f"{doing}: the guest has not released it after {_DETACH_S} s",
                    fix="wait until the guest has booted, then again; or: vmnet up --recreate",
                )
            select.select([], [], [], _POLL_S)

    def mark(self, domain: Domain, xml: str) -> None:
        """Write down in a running domain's metadata what it is now."""
        import libvirt

        kind, live = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
        with converting(f'marking VM "{domain.vm}"'):
            dom = self._conn.lookupByName(domain.name)
            dom.setMetadata(kind, xml, "vmnet", NAMESPACE, live)

    def expire(self, until: int) -> None:
        """Write into the metadata of the plan's domains until when it is up; 0 takes that away."""
        import libvirt

        kind, live = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
        text = f"<until>{until}</until>" if until else None
        with converting("writing the expiry of the plan's VMs"):
            for domain in self.observe()[0]:
                dom = self._conn.lookupByName(domain.name)
                if (metadata(dom, EXPIRY) or "0") != str(until):
                    dom.setMetadata(kind, text, "vmnet-expiry", EXPIRY, live)

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
        return _has_port_open(xml)

    def agent_seen(self, domain: str) -> AgentSeen:
        """Return what libvirt and the kernel say of a guest and its agent, which is not asked.

        What libvirt says of the port may be what it has known when it was closed last.
        """
        import libvirt

        pid = read_pid(self._run_dir / "qemu" / f"{domain}.pid")
        try:
            found = self._conn.lookupByName(domain)
            state = STATES[found.state()[0]]
            xml = ET.fromstring(found.XMLDesc(0))  # noqa: S314  (libvirt's own)
        except libvirt.libvirtError as error:
            return AgentSeen(answers=False, state="not there", error=str(error))
        connected = _has_port_open(xml)
        return AgentSeen(
            answers=False,
            connected=connected,
            state=state,
            stopped=stopped(pid),
            age_s=age_s(pid),
        )

    def limit_agent(self, domain: str, timeout_s: int) -> None:
        """Let libvirt wait no longer than this when it synchronises with a guest's agent."""
        with converting(f'asking the guest agent of "{domain}"'):
            self._conn.lookupByName(domain).agentSetResponseTimeout(timeout_s, 0)

    def agent(self, domain: str, command: str, timeout_s: int) -> str:
        """Send one command (JSON) to the guest agent and return its answer (JSON).

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
        source = self._description(domain).find("devices/serial[@type='pty']/source")
        path = source.get("path", "") if source is not None else ""
        if not path.startswith("/dev/pts/"):
            raise VmnetError(f'"{domain}" has no serial line', fix="bring it up again: vmnet up")
        return path

    def _description(self, name: str) -> ET.Element:
        """Return the XML of a domain as it is now. Raises VmnetError when it is not there."""
        with converting(f'reading what "{name}" is made of'):
            xml = self._conn.lookupByName(name).XMLDesc(0)
        return ET.fromstring(xml)  # noqa: S314  (libvirt's own)

    def _on_agent(self, _: object, dom: Any, state: int, _reason: int, _o: object) -> None:
        if state == _AGENT_CONNECTED and (vm := self._vm_of(dom)):
            self._on_event(vm, "agent", "")

    def _on_lifecycle(self, _: object, dom: Any, event: int, detail: int, _o: object) -> None:
        vm = self._vm_of(dom)
        if vm and event == _STARTED_EVENT:
            self._on_event(vm, "started", "")
        if vm and event == _STOPPED_EVENT:
            reason = _STOP_REASONS[detail] if detail < len(_STOP_REASONS) else str(detail)
            self._on_event(vm, "stopped", reason)

    def _vm_of(self, dom: Any) -> str | None:
        prefix = f"{self._plan}-"
        name = str(dom.name())
        return name.removeprefix(prefix) if name.startswith(prefix) else None


def _has_port_open(xml: ET.Element) -> bool:
    ports = xml.iterfind("devices/channel/target[@name='org.qemu.guest_agent.0']")
    return any(port.get("state") == "connected" for port in ports)


def metadata(dom: Any, namespace: str) -> str | None:
    """Return the text of an element in a domain's metadata, None when there is none."""
    import libvirt

    try:
        xml = dom.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, namespace, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
    return "".join(ET.fromstring(xml).itertext()).strip()  # noqa: S314  (libvirt's own)
