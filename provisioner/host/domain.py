"""The driver of domains: guests started, changed while they run, shut down, and ended.

Runs in the worker.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain, DomainNic
from provisioner.guest.domain_state import PAUSED, is_full, own_links, with_dead_nics
from provisioner.guest.network_config import changed_mtus, changed_nics, without
from provisioner.guest.xml import render
from provisioner.host.guest import console_log
from provisioner.host.guest.commands import Guests
from provisioner.host.jail import folders, scope, users
from provisioner.host.libvirt import definitions, memory, qemu_process
from provisioner.host.libvirt.qemu import stray
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.host.netlink import links
from provisioner.host.network import macvtap, tap_node
from provisioner.host.system import deadline, file_errors, paths, plan_folders
from provisioner.plan.nic_settings import DEFAULT_MTU
from provisioner.reconcile.resources import Look

_AGENT_S = 30.0
_CUT_OFF_S = 5.0  # that ending a guest may take: libvirt waits for its QEMU for 2 s
_ASKED_BY_AGENT = 0.5  # the share of its time after which the power button is pressed too
_ROOM = 8 << 20  # bytes that must be free before a guest with a full disk runs on
Wait = Callable[[str, float], bool]
"""Waits for something of a VM for so many seconds; returns whether it has come."""


@dataclass(frozen=True, slots=True)
class DomainDriver:
    """The driver of domains.

    `xml` is what one is created from, or `memory`, a file of a snapshot, what it is restored from;
    `await_agent` waits for a guest's agent, `await_end` for its end. A guest that is to end has
    `grace_s` seconds to shut down; with none it is not asked to. `let_go` has one that was created
    run, at once or when its turn comes.
    """

    libvirt: LibvirtSession
    xml: str = ""
    await_agent: Wait = lambda _vm, _within_s: False
    await_end: Wait = lambda _vm, _within_s: False
    grace_s: float = 0.0
    memory: str = ""
    let_go: Callable[[Domain], None] | None = None

    def observe(self, look: Look) -> Sequence[Domain]:
        """List the plan's domains that run."""
        return [replace(x, home=str(paths.home(look.plan))) for x in look.domains]

    def create(self, domain: Domain) -> None:
        """Start a guest, whole or not at all; one that is restored is paused. Raises VmnetError."""
        definitions.clear(self.libvirt.domains, domain)
        _prove(domain.nics)
        own_log(Path(domain.console))
        users.hand_over(domain, self.libvirt.owner)
        with qemu_process.watched(domain, self.libvirt.pid_file(domain.name)):
            if self.memory:
                memory.restore(self.libvirt.domains, domain, self.memory)
            else:
                self.libvirt.domains.create(domain, self.xml)
            # Before its first instruction: later, QEMU could have put links there.
            if domain.uid or self.libvirt.is_embedded:
                number = self.libvirt.domains.number(domain.name)
                folders.take_started(self.libvirt.lib_dir, number)
            self._limit(domain)
            if not self.memory:
                (self.let_go or self.resume)(domain)

    def update(self, domain: Domain) -> None:
        """Let a guest run on, and give it the NICs and the network that it should have.

        The mark comes last: when vmnet is killed before, the next run does it again. Raises
        VmnetError when libvirt or the guest refuses.
        """
        domains, pid_file = self.libvirt.domains, self.libvirt.pid_file(domain.name)
        qemu_process.wake(pid_file, domain.name)
        running, _, _ = domains.observe()
        have = next((d for d in running if d.name == domain.name), None)
        if have is None:
            raise VmnetError(f'VM "{domain.vm}" has ended', fix="run vmnet up again")
        if have.state.startswith(PAUSED):
            if is_full(have.state):
                _prove_room(domain)
            self._limit(domain)  # vmnet was killed before it did
            domains.resume(domain.name)
        if have.is_persistent and not domain.is_persistent:
            definitions.forget(domains, domain)
        have = plugged(have, qemu_process.read_pid(pid_file), {x.name for x in links.every()})
        known = self._replug(domain, have)
        if different := changed_nics(known, domain.network):
            self._configure(domain, different, changed_mtus(known, domain.network))
        if replace(have, state=domain.state, is_persistent=domain.is_persistent) != domain:
            self._mark(domain)

    def _limit(self, domain: Domain) -> None:
        """Have a guest's QEMU limited as a whole; a libvirt daemon does so itself."""
        if self.libvirt.is_embedded and not os.geteuid():
            pid = qemu_process.read_pid(self.libvirt.pid_file(domain.name))
            scope.enter(domain, pid, lambda: self.libvirt.domains.max_memory(domain.name))

    def _replug(self, domain: Domain, have: Domain) -> str:
        """Take NICs away and give a guest others; return which network it knows of then.

        It is written into the mark before: what is plugged in anew is to be configured anew.
        """
        fit = {nic.link for nic in have.nics if nic.is_fit}
        coming = [nic for nic in domain.nics if nic.link not in fit]
        wanted = {nic.link for nic in domain.nics}
        known = without(have.network, {nic.mac for nic in coming})
        if known != have.network and domain.image.agent:
            self._mark(replace(domain, network=known))
        for nic in have.nics:
            if not nic.is_absent and (nic.is_dead or nic.link not in wanted):
                self.libvirt.domains.detach(domain, nic.link)
        _prove(coming)
        for nic in coming:
            xml = render.rendered("interface.xml.j2", nic=nic)
            self.libvirt.domains.attach(domain, nic.link, xml)
        return known if domain.image.agent else have.network

    def _configure(
        self,
        domain: Domain,
        different: Mapping[str, Mapping[str, object]],
        alone: Collection[str],
    ) -> None:
        """Have the guest's agent configure NICs; of those in `alone` their MTU alone."""
        within_s = deadline.left_s(_AGENT_S)
        if not self.await_agent(domain.vm, within_s):
            raise VmnetError(
                f"the guest agent of {domain.name} has not answered after {within_s:g} s",
                fix="run vmnet up again when the guest is up, or: vmnet up --recreate",
            )
        guest = Guests(self.libvirt.domains, domain.name)
        mtus = {nic.mac: nic.mtu for nic in domain.nics}
        for mac, config in different.items():
            whole = {"mtu": mtus.get(mac, DEFAULT_MTU)} | dict(config)
            if mac in alone:
                guest.set_mtu(mac, int(str(whole["mtu"])))
            else:
                guest.reconfigure(mac, whole)

    def _mark(self, domain: Domain) -> None:
        xml = render.rendered("mark.xml.j2", mark=render.to_mark(domain))
        self.libvirt.domains.mark(domain, xml)

    def delete(self, domain: Domain) -> None:
        """End a guest and remove its console log; one that has ended already is fine."""
        self.end(domain)

    def end(self, domain: Domain) -> str:
        """End a guest and remove its console log; one that has ended already is fine.

        One that may have written to a disk is let shut down first. Returns what went wrong.
        """
        said = self._ended(domain) if domain.can_write else self._cut_off(domain)
        stray.end(domain.plan, domain.vm)
        console_log.remove(Path(domain.console))
        return said

    def stop(self, domain: Domain) -> str:
        """Shut a guest down; its devices, files and log stay. One that has ended already is fine.

        Frames for a macvtap that nobody has open would go to the host's own stack, so they are
        set down. Returns what went wrong. Raises VmnetError or OSError.
        """
        said = self._ended(domain)
        stray.end(domain.plan, domain.vm)
        for nic in domain.nics:
            if not nic.granted and links.index_of(nic.link):
                macvtap.plug(nic.link, up=False)
        if plan_folders.is_own(Path(domain.console)):
            plan_folders.write_record(Path(domain.console), {"stopped": int(time.time())})
        return said

    def pause(self, domain: Domain) -> str:
        """Halt a guest's processors. Raises VmnetError."""
        self.libvirt.domains.pause(domain.name)
        return ""

    def resume(self, domain: Domain) -> str:
        """Let a guest that is paused go on. Raises VmnetError."""
        self.libvirt.domains.resume(domain.name)
        return ""

    def _ended(self, domain: Domain) -> str:
        """Let a guest shut down: by its agent, by its power button; in the end without it."""
        if not self.grace_s or domain.has_ended:
            return self._cut_off(domain)
        grace_s = deadline.left_s(self.grace_s + _CUT_OFF_S) - _CUT_OFF_S
        if grace_s <= 0:
            self._cut_off(domain)
            return f"{domain.vm} had no time to shut down, and was ended"
        ask = self.libvirt.domains.ask_to_shut_down
        end = time.monotonic() + grace_s
        # libvirt answers when QEMU does, or the agent: neither has to.
        _aside(lambda: ask(domain.name, self.libvirt.pid_file(domain.name), by_agent=True))
        if self.await_end(domain.vm, grace_s * _ASKED_BY_AGENT):
            return ""
        _aside(lambda: ask(domain.name, self.libvirt.pid_file(domain.name), by_agent=False))
        if self.await_end(domain.vm, end - time.monotonic()):
            return ""
        self._cut_off(domain)
        return f"{domain.vm} has not shut down within {grace_s:g} s, and was ended"

    def _cut_off(self, domain: Domain) -> str:
        """End a guest at once.

        libvirt asks QEMU to end, so that it writes what it has in its caches. Without a disk there
        is nothing to write.
        """
        if not domain.can_write:
            uuid = naming.domain_uuid(domain.plan, domain.vm)
            qemu_process.kill(self.libvirt.pid_file(domain.name), domain.name, uuid)
        self.libvirt.domains.destroy(domain)
        return ""


def _aside(ask: Callable[[], None]) -> None:
    threading.Thread(target=ask, daemon=True, name="shutdown").start()


def plugged(domain: Domain, pid: int, devices: Collection[str]) -> Domain:
    """Return a domain with the NICs marked whose macvtaps its QEMU has open no more.

    `devices` are the names of those that are there.
    """
    opened = tap_node.opened_by(pid) if pid else None
    there = set(devices) if opened is None else opened.intersection(devices)
    return with_dead_nics(domain, [link for link in own_links(domain) if link not in there])


def _prove_room(domain: Domain) -> None:
    for disk in domain.disks:
        try:
            free = os.statvfs(disk.path)
        except OSError:
            continue  # a block device, or it has gone
        if free.f_bavail * free.f_frsize < _ROOM:
            raise VmnetError(
                f"{domain.vm} is paused: there is no room for its disk {disk.path}",
                fix=file_errors.fix_of(errno.ENOSPC, Path(disk.path)),
            )


def _prove(nics: Sequence[DomainNic]) -> None:
    indexes = {x.name: x.index for x in links.every()}
    tap_node.prove_usable({n.link: indexes.get(n.link, 0) for n in nics})


def own_log(path: Path) -> None:
    """Begin a console log anew, in a place that is vmnet's. Raises VmnetError when it cannot."""
    try:
        plan_folders.own(path)
        console_log.remove(path)
        plan_folders.own(path)
    except OSError as error:
        raise file_errors.converted(error, "cannot write", path) from error
