"""What every command begins with: the plan, the lock, the worker, and a look at the host."""

import os
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from provisioner.commands import defaults, plan_files
from provisioner.commands.target import Options, Target, Tell
from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.guest.domain import Domain, Overlay
from provisioner.guest.xml import render
from provisioner.host.guest import console_log
from provisioner.host.libvirt import privileges
from provisioner.host.libvirt.connection import is_embedded
from provisioner.host.machine import MACHINE
from provisioner.host.netlink import links
from provisioner.host.network import reservations, vlan
from provisioner.host.probe import address_claims
from provisioner.host.storage import firmware
from provisioner.host.system import locks, paths, plan_folders
from provisioner.host.system.worker import Worker
from provisioner.network.devices import Nics, uplink_mac, uplink_of
from provisioner.network.facts import Chosen
from provisioner.network.standalone import granted
from provisioner.preflight import conflicts, host
from provisioner.preflight import images as imagerules
from provisioner.reconcile.desired import New, desired
from provisioner.reconcile.resources import Resource, Resources, Snapshot

if TYPE_CHECKING:
    from provisioner.guest.boot import Files
    from provisioner.guest.userdata import Texts
    from provisioner.network.addressing import NicConfig
    from provisioner.network.facts import Facts
    from provisioner.plan.model import Plan

_PROBE_S = 0.8  # of asking a LAN who has an address; RFC 5227 waits for seconds, LANs answer in ms
_OPEN_S = 10.0  # that libvirt has at least: with an empty cache it asks QEMU what it can do
_JUDGED = {"up", "plan"}  # status tells what is there, whatever the plan wants of its images
CHANGES: Final = frozenset({"up", "down"})
"""The commands that take away what killed runs have left; all others only look."""


@dataclass(slots=True)
class Session:
    """One command under way: the lock is held, libvirt is open, the host has been looked at."""

    target: Target
    options: Options
    worker: Worker
    tell: Tell
    snapshot: Snapshot
    chosen: list[tuple[str, str, str]]
    nics: "Mapping[tuple[str, int], NicConfig]" = field(default_factory=dict)
    files: "Files | None" = None  # that the plan names, once they have been looked at
    texts: "Texts | None" = None  # what is in those that guests are told

    @property
    def is_embedded(self) -> bool:
        """Whether libvirt runs inside vmnet: then QEMU's rights to files are vmnet's business."""
        return any(what == "libvirt" and is_embedded(uri) for what, uri, _ in self.chosen)

    def look(self) -> Snapshot:
        """Look at the host again."""
        self.snapshot = self.worker.within(self.options.timeout_s or None).do(MACHINE.observe)
        return self.snapshot

    def tidy(self) -> None:
        """Take the plan's folders away when the last look found nothing that needs them."""
        if not self.snapshot.resources:
            self.worker.do(MACHINE.tidy)

    def await_agent(self, vm: str, timeout_s: float) -> None:
        """Wait until a VM's guest agent can be asked: libvirt finds it again some time after open.

        Raises VmnetError when it does not come.
        """
        import queue

        end = time.monotonic() + timeout_s
        while vm not in self.worker.do(MACHINE.agents):
            try:
                self.worker.events.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise VmnetError(
                    f"the guest agent of {vm} has not answered after {timeout_s:g} s",
                    fix=f"look at the guest: vmnet logs {vm}, vmnet console {vm}",
                ) from None

    def choose(self, what: str, chosen: Chosen) -> None:
        """Say aloud what was chosen automatically, and keep it for the report."""
        self.tell(f"{what} {chosen.what}: {chosen.why}")
        self.chosen.append((what, chosen.what, chosen.why))

    def refuse(self) -> None:
        """Raise Complaints when the host forbids the plan; nothing has been touched yet."""
        assert self.target.loaded  # noqa: S101  (only commands with a plan come here)
        self.files = plan_files.files(self.target)
        places = self.target.loaded.places
        found = host.complaints(
            self.target.plan, places, self.nics, self.snapshot.facts, self.snapshot.resources
        )
        if self.is_embedded:
            found += plan_files.unopenable(self.target, self.files)
        tagged = [network for network in self.target.plan.networks if network.vlan]
        if tagged and (why := self.worker.do(vlan.missing)):
            found.append(
                VmnetError(
                    f'network "{tagged[0].name}" is a VLAN: {why}',
                    where=places.where("networks", tagged[0].name, "vlan"),
                    fix="load the module where the kernel has it: modprobe 8021q",
                )
            )
        try:
            self.told()
        except Complaints as bad:
            found += bad.errors
        if found:
            raise Complaints(found)

    def told(self) -> "Texts":
        """Give what the files hold that the plan names.

        Raises Complaints when some of them cannot be used.
        """
        assert self.target.loaded  # noqa: S101  (only commands with a plan come here)
        if self.texts is None:
            from provisioner.commands import guest_files

            self.texts = guest_files.texts(self.target.loaded, self.target.fence)
        return self.texts

    @contextmanager
    def claimed(self, fresh: Container[str]) -> Iterator[None]:
        """Keep other plans from taking what the VMs in `fresh` will have, while the block runs.

        Raises Complaints when another plan's `up` is giving one of their addresses or MACs to its
        own guests, or has made a device with such a MAC since the host was looked at.
        """
        assert self.target.loaded  # noqa: S101  (only commands with a plan come here)
        plan, places_ = self.target.plan, self.target.loaded.places
        wanted = conflicts.claims(plan, self.nics, self.snapshot.facts, fresh)
        with reservations.held(plan.name, wanted, self.tell) as taken:
            found = list(conflicts.claimed_elsewhere(taken, wanted, places_))
            if wanted and not found:
                facts = replace(self.snapshot.facts, links=self.worker.do(links.every))
                for network in plan.networks:
                    if network.uplink and not network.granted:
                        found += host.macs_taken(plan, network, places_, self.nics, facts)
            if found:
                raise Complaints(found)
            yield

    def refuse_taken_addresses(self, fresh: Container[str]) -> None:
        """Raise Complaints when a machine on a LAN has an address that a guest would take.

        `fresh` are the VMs that will be started or told of new addresses; all others have theirs.
        """
        assert self.target.loaded  # noqa: S101  (only commands with a plan come here)
        plan, places = self.target.plan, self.target.loaded.places
        asked = []
        for network in plan.networks:
            link = self.snapshot.facts.link(uplink_of(plan.name, network))
            if not network.uplink or link is None or not (link.up and link.carrier):
                continue
            wanted = {
                address: self.nics[path[1], path[3]].mac
                for address, path in conflicts.static_addresses(plan, network, self.nics).items()
                if path[1] in fresh
            }
            if wanted:
                ask = address_claims.conflicts
                asked.append((network, self.worker.call(ask, link.name, wanted, _PROBE_S)))
        found: list[VmnetError] = []
        for network, pending in asked:
            owners = pending.result()
            if owners.deaf:
                self.tell(f"other plans' guests on {network.uplink} not asked: {owners.deaf}")
            found += conflicts.owned_elsewhere(owners.macs, plan, network, places, self.nics)
        if found:
            raise Complaints(found)

    def wanted(self, *, build: bool = True) -> Resources:
        """Say what must exist for the plan to be up; without `build`, with no image if need be.

        VMs that run keep the image and the accelerator they were started with, unless they are to
        be recreated: a newer vmnet is not a reason to restart a guest.
        """
        plan = self.target.plan
        there = self.snapshot.resources.values()
        have = [r for r in there if isinstance(r, Domain)]
        kept = {} if self.options.recreate else {d.vm: d for d in have}
        if self.files is None:
            self.files = plan_files.files(self.target)
        disks = {r.path: r for r in there if isinstance(r, Overlay)}
        loader = firmware.loader()
        images = defaults.images(self.target, kept, self.tell if build else None)
        if self.options.command in _JUDGED:
            assert self.target.loaded  # noqa: S101  (only commands with a plan come here)
            places = self.target.loaded.places
            if found := imagerules.complaints(plan, places, images, disks, loader):
                raise Complaints(found)
        accel = Chosen("", "")
        if any(vm.name not in kept for vm in plan.vms):
            accel = defaults.accelerator(plan, images.values())
            self.choose("accel", accel)
        elif have:
            self.choose("accel", Chosen(have[0].accel, "the VMs that run use it"))
        new = New(images, accel, kept, disks, self.files, loader, self.told())
        return desired(plan, self.nics, self.snapshot.facts, new)


@contextmanager
def begun(target: Target, options: Options, worker: Worker, tell: Tell) -> Iterator[Session]:
    """Hold the plan's lock, open libvirt, look at the host.

    Raises VmnetError when the host cannot: no rights, no libvirt, the lock held for too long.
    """
    if (os.geteuid() and target.loaded and all(n.granted for n in target.plan.networks)) or (
        os.geteuid() and not target.loaded
    ):
        privileges.require_nothing()
    else:
        privileges.require()
    home, root = paths.home(target.name), paths.libvirt_root(target.name)
    if options.command == "down":
        privileges.close_own_folders(home, root, paths.state(), paths.run())
    privileges.require_own_folders(paths.state(), home, paths.run(), root)
    if options.command == "up":
        plan_folders.refuse_foreign(home, target.name)
    lock = locks.held(
        paths.lock_file(target.name),
        f"{options.command} {target.name}",
        timeout_s=options.lock_timeout_s,
        say=tell,
        tidy=options.command in CHANGES or not paths.run().exists(),
    )
    # The worker ends first: whoever waits for the lock finds libvirt free to be opened.
    with lock, closing(worker):
        session = _opened(target, options, worker, tell)
        try:
            yield session
        except BaseException:
            # Nothing is taken away on an old look, or when the host cannot be looked at.
            with suppress(VmnetError):
                session.look()
                session.tidy()
            raise
        session.tidy()


def on_host(plan: "Plan", nics: "Nics", facts: "Facts") -> "Nics":
    """Let NICs that bear a MAC of the host's, or of root's devices, have it."""
    from provisioner.network.addressing import with_macs

    macs = {n.name: uplink_mac(plan, n, facts) for n in plan.networks}
    return granted.as_granted(with_macs(plan, nics, macs), granted.devices(plan, facts))


def _opened(target: Target, options: Options, worker: Worker, tell: Tell) -> Session:
    within_s = options.timeout_s or None
    patience_s = within_s and max(within_s, _OPEN_S)
    changes = options.command in CHANGES
    opening = worker.within(patience_s).call(
        MACHINE.open, target.name, target.connection, changes=changes
    )
    if target.loaded and options.command == "up":
        render.warm_up()  # meanwhile, on the other core: what needs no look at the host
    nics: Nics = {}
    assigned = {}
    if target.loaded:
        from provisioner.network.addressing import assign

        assigned = assign(target.plan)
    chosen = opening.result()
    snapshot = worker.within(within_s).do(MACHINE.observe)
    if target.loaded:
        nics = on_host(target.plan, assigned, snapshot.facts)
    console_log.cap(paths.consoles(target.name))
    session = Session(target, options, worker, tell, snapshot, [], nics=nics)
    session.choose("libvirt", chosen)
    return session


def one(target: Target, vm: str) -> str:
    """Find the VM that is meant; its name may be left out when there is only one."""
    if not target.loaded:
        return vm
    known = [v.name for v in target.plan.vms]
    if not vm and len(known) == 1:
        return known[0]
    if vm in known:
        return vm
    raise VmnetError(
        f'the plan {target.name} has no VM "{vm}"' if vm else "which VM?",
        fix=f"its VMs: {', '.join(known)}",
        status=Exit.BAD_INPUT,
    )


def domain(resources: Iterable[Resource], vm: str) -> Domain:
    """Find a VM's domain. Raises VmnetError when it is not up."""
    for r in resources:
        if isinstance(r, Domain) and r.vm == vm:
            return r
    raise VmnetError(f'VM "{vm}" is not up', fix="bring the plan up: vmnet up")
