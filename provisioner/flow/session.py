"""What every command begins with: the plan, the lock, the worker, and a look at the host."""

import os
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.core import granted, imagerules, render, rules, takenrules
from provisioner.core.desired import New, desired
from provisioner.core.facts import Chosen, Snapshot
from provisioner.core.networks import Nics, uplink_mac, uplink_of
from provisioner.core.resources import Disk, Domain, Resources
from provisioner.errors import Complaints, VmnetError
from provisioner.flow import choices, given
from provisioner.host import claims, consoles, firmware, locks, places, planfiles, rights
from provisioner.host.connection import is_embedded
from provisioner.host.worker import Worker

if TYPE_CHECKING:
    from provisioner.core.addresses import NicConfig
    from provisioner.core.booting import Files
    from provisioner.core.facts import Facts
    from provisioner.core.model import Plan
    from provisioner.core.planfile import Loaded
    from provisioner.core.texts import Texts

_PROBE_S = 0.8  # of asking a LAN who has an address; RFC 5227 waits for seconds, LANs answer in ms
_OPEN_S = 10.0  # that libvirt has at least: with an empty cache it asks QEMU what it can do
_JUDGED = {"up", "plan"}  # status tells what is there, whatever the plan wants of its images
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What a command line can change about how a command goes about its work."""

    command: str
    timeout_s: float = 0.0  # of waiting for guests; 0 leaves it to what they boot
    lock_timeout_s: float = 30.0
    recreate: bool = False
    pairs: str = "all"  # or "sample": a part of them that touches every guest
    idle: Callable[[], None] = lambda: None  # called while the guests boot: there is time then
    wide: bool = False  # the guests are asked for their own words


@dataclass(frozen=True, slots=True)
class Target:
    """What a command is about: a plan, or only the name of one that may have no file any more."""

    name: str
    loaded: "Loaded | None" = None
    folder: Path = Path()  # of the plan's file: what it names is looked for from there
    uri: str = ""  # of libvirt, when the operator names one: instead of the plan's
    allowed: tuple[Path, ...] = ()  # outside that folder, by the operator: files, or whole folders

    @property
    def plan(self) -> "Plan":
        """The plan itself; only commands that demand a file ask for it."""
        if self.loaded is None:
            raise RuntimeError(self.name)
        plan: Plan = self.loaded.plan
        return plan

    @property
    def connection(self) -> str:
        """Where libvirt is: what the operator says, else the plan, else found out."""
        return self.uri or (self.loaded.plan.connection if self.loaded else "auto")

    @property
    def fence(self) -> planfiles.Fence:
        """Where the files that the plan names may lie."""
        return planfiles.Fence(self.folder, self.allowed)


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
        self.snapshot = self.worker.do("observe", within_s=self.options.timeout_s or None)
        return self.snapshot

    def await_agent(self, vm: str, timeout_s: float) -> None:
        """Wait until a VM's guest agent can be asked: libvirt finds it again some time after open.

        Raises VmnetError when it does not come.
        """
        import queue
        import time

        end = time.monotonic() + timeout_s
        while vm not in self.worker.do("agents"):
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
        self.files = given.files(self.target)
        places = self.target.loaded.places
        found = rules.complaints(
            self.target.plan, places, self.nics, self.snapshot.facts, self.snapshot.resources
        )
        if self.is_embedded:
            found += given.unopenable(self.target, self.files)
        tagged = [network for network in self.target.plan.networks if network.vlan]
        if tagged and (why := self.worker.do("no_vlan")):
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
            from provisioner.flow import named

            self.texts = named.texts(self.target.loaded, self.target.fence)
        return self.texts

    @contextmanager
    def claimed(self, fresh: Container[str]) -> Iterator[None]:
        """Keep other plans from taking what the VMs in `fresh` will have, while the block runs.

        Raises Complaints when another plan's `up` is giving one of their addresses or MACs to its
        own guests, or has made a device with such a MAC since the host was looked at.
        """
        assert self.target.loaded  # noqa: S101  (only commands with a plan come here)
        plan, places_ = self.target.plan, self.target.loaded.places
        wanted = takenrules.claims(plan, self.nics, self.snapshot.facts, fresh)
        with claims.held(plan.name, wanted, self.tell) as taken:
            found = list(takenrules.claimed_elsewhere(taken, wanted, places_))
            if wanted and not found:
                facts = replace(self.snapshot.facts, links=self.worker.do("links"))
                for network in plan.networks:
                    if network.uplink and not network.granted:
                        found += rules.macs_taken(plan, network, places_, self.nics, facts)
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
                for address, path in takenrules.static_addresses(plan, network, self.nics).items()
                if path[1] in fresh
            }
            if wanted:
                asked.append((network, self.worker.call("owners", link.name, wanted, _PROBE_S)))
        found: list[VmnetError] = []
        for network, pending in asked:
            owners = pending.result()
            if owners.deaf:
                self.tell(f"other plans' guests on {network.uplink} not asked: {owners.deaf}")
            found += takenrules.owned_elsewhere(owners.macs, plan, network, places, self.nics)
        if found:
            raise Complaints(found)

    def wanted(self, *, build: bool = True) -> Resources:
        """Say what must exist for the plan to be up; without `build`, with no image if need be.

        VMs that run keep the image and the accelerator they were started with, unless they are to
        be recreated: a newer vmnet is no reason to restart a guest.
        """
        plan = self.target.plan
        there = self.snapshot.resources.values()
        have = [r for r in there if isinstance(r, Domain)]
        kept = {} if self.options.recreate else {d.vm: d for d in have}
        if self.files is None:
            self.files = given.files(self.target)
        disks = {r.path: r for r in there if isinstance(r, Disk)}
        loader = firmware.loader()
        images = choices.images(self.target, kept, self.tell if build else None)
        if self.options.command in _JUDGED:
            assert self.target.loaded  # noqa: S101  (only commands with a plan come here)
            places = self.target.loaded.places
            if found := imagerules.complaints(plan, places, images, disks, loader):
                raise Complaints(found)
        accel = Chosen("", "")
        if any(vm.name not in kept for vm in plan.vms):
            accel = choices.accelerator(plan, images.values())
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
        rights.require_nothing()
    else:
        rights.require()
    home, root = places.home(target.name), places.libvirt_root(target.name)
    if options.command == "down":
        rights.close_own_folders(home, root, places.state(), places.run())
    rights.require_own_folders(places.state(), home, places.run(), root)
    lock = locks.held(
        places.lock_file(target.name),
        f"{options.command} {target.name}",
        timeout_s=options.lock_timeout_s,
        say=tell,
    )
    # The worker ends first: whoever waits for the lock finds libvirt free to be opened.
    with lock, closing(worker):
        session = _opened(target, options, worker, tell)
        try:
            yield session
        except BaseException:
            session.look()
            raise
        finally:
            if not session.snapshot.resources:
                worker.do("tidy")


def on_host(plan: "Plan", nics: "Nics", facts: "Facts") -> "Nics":
    """Let NICs that bear a MAC of the host's, or of root's devices, have it."""
    from provisioner.core.addresses import with_macs

    macs = {n.name: uplink_mac(plan, n, facts) for n in plan.networks}
    return granted.as_granted(with_macs(plan, nics, macs), granted.devices(plan, facts))


def _opened(target: Target, options: Options, worker: Worker, tell: Tell) -> Session:
    within_s = options.timeout_s or None
    patience_s = within_s and max(within_s, _OPEN_S)
    opening = worker.call("open", target.name, target.connection, within_s=patience_s)
    if target.loaded and options.command == "up":
        render.warm_up()  # meanwhile, on the other core: what needs no look at the host
    nics: Nics = {}
    assigned = {}
    if target.loaded:
        from provisioner.core.addresses import assign

        assigned = assign(target.plan)
    chosen = opening.result()
    snapshot = worker.do("observe", within_s=within_s)
    if target.loaded:
        nics = on_host(target.plan, assigned, snapshot.facts)
    consoles.cap(places.consoles(target.name))
    session = Session(target, options, worker, tell, snapshot, [], nics=nics)
    session.choose("libvirt", chosen)
    return session
