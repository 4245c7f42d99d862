"""What every command begins with: the plan, the lock, the worker, and a look at the host."""

import os
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, overload

from provisioner.commands import defaults, plan_files
from provisioner.commands.guards import kept
from provisioner.commands.target import CommandRun, NameTarget, PlanTarget, Tell
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input, collected, refuse
from provisioner.guest.boot import New
from provisioner.guest.domain import Domain, Overlay
from provisioner.guest.jail import user
from provisioner.guest.jail.user import GuestUsers
from provisioner.guest.xml import render
from provisioner.host.jail import users
from provisioner.host.libvirt import privileges
from provisioner.host.libvirt.session import is_embedded
from provisioner.host.machine import MACHINE
from provisioner.host.netlink import links
from provisioner.host.network import reservations, vlan
from provisioner.host.storage import firmware
from provisioner.host.system import locks, paths, plan_folders, plan_marks
from provisioner.host.system.whole_files import Owner
from provisioner.host.system.worker import Worker
from provisioner.inventory.plan_mark import PlanMark
from provisioner.network import addressing
from provisioner.network.addressing import Nics
from provisioner.network.devices import uplink_mac
from provisioner.network.facts import Chosen
from provisioner.network.standalone import granted
from provisioner.preflight import conflicts, host
from provisioner.preflight import images as imagerules
from provisioner.preflight.hosted_plan import HostedPlan
from provisioner.reconcile.desired import desired
from provisioner.reconcile.resources import Snapshot
from provisioner.resource import Resource, Resources
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.guest.boot import Files
    from provisioner.guest.userdata import Texts
    from provisioner.network.facts import Facts
    from provisioner.plan.model import Plan

_LOOK_S: Final = 60.0  # that a look at the agents may take, as any call
_OPEN_S = 10.0  # that libvirt has at least: with an empty cache it asks QEMU what it can do


@dataclass(slots=True)
class HostSession:
    """One command under way: the lock is held, libvirt is open, the host has been looked at."""

    target: NameTarget | PlanTarget
    run: CommandRun
    snapshot: Snapshot
    nics: Nics = field(default_factory=dict)
    chosen: dict[str, Chosen] = field(default_factory=dict)  # by what it was chosen for

    @property
    def worker(self) -> Worker:
        """The process that asks libvirt and the kernel."""
        return self.run.worker

    @property
    def tell(self) -> Tell:
        """Shows the user a line."""
        return self.run.tell

    @property
    def domains(self) -> list[Domain]:
        """The plan's domains at the last look."""
        return [r for r in self.snapshot.resources.values() if isinstance(r, Domain)]

    @property
    def is_embedded(self) -> bool:
        """Whether libvirt runs inside vmnet: then QEMU's rights to files are vmnet's business."""
        return is_embedded(self.chosen["libvirt"].what)

    def look(self) -> Snapshot:
        """Look at the host again."""
        self.snapshot = self.worker.within(self.run.timeout_s or None).do(MACHINE.observe)
        return self.snapshot

    def tidy(self) -> None:
        """Take away the plan's folders when the last look found nothing that needs them.

        Of a command that has changed nothing: what it has made to look.
        """
        if not self.run.command.changes_host:
            self.worker.do(MACHINE.abandon)
        elif all(r.OF_HOST or r.stays for r in self.snapshot.resources.values()):
            self.worker.do(MACHINE.tidy)

    def await_agents(self, vms: Collection[str], timeout_s: float) -> set[str]:
        """Wait at most `timeout_s` seconds for VMs' guest agents; return the VMs that have one."""
        limited = self.worker.within(timeout_s + _LOOK_S)
        return limited.do(MACHINE.await_agents, vms, timeout_s)

    def await_agent(self, vm: str, timeout_s: float) -> None:
        """Wait until a VM's guest agent can be asked. Raises VmnetError when it does not come."""
        if vm not in self.await_agents([vm], timeout_s):
            raise VmnetError(
                f"the guest agent of {vm} has not answered after {timeout_s:g} s",
                fix=f"look at the guest: vmnet logs {vm}, vmnet console {vm}",
            )

    def choose(self, what: str, chosen: Chosen) -> None:
        """Show the user what was chosen automatically, and keep it for the report."""
        if self.chosen.get(what) != chosen:
            self.tell(f"{what} {chosen.what}: {chosen.why}")
        self.chosen[what] = chosen


@dataclass
class Session(HostSession):
    """A command about a plan that has been loaded."""

    target: PlanTarget

    @cached_property
    def files(self) -> "Files":
        """The files that the plan's VMs are started with. Raises Complaints about unusable ones."""
        return plan_files.files(self.target)

    @cached_property
    def texts(self) -> "Texts":
        """What is in the plan's files for guests. Raises Complaints about unusable ones."""
        return plan_files.texts(self.target)

    def refuse(self) -> None:
        """Raise Complaints when the host forbids the plan; nothing has been touched yet."""
        plan, positions, facts = self.target.plan, self.target.positions, self.snapshot.facts
        files = self.files
        if any(network.vlan for network in plan.networks):
            facts = replace(facts, no_vlan=self.worker.do(vlan.missing))
        found = host.complaints(self.hosted(facts), self.snapshot.resources)
        if self.is_embedded:
            denied = plan_files.denied(self.target, files, self._owners())
            found += imagerules.unopenable(plan, positions, denied)
        with collected(found):
            _ = self.texts
        refuse(found)

    def _owners(self) -> dict[str, Owner]:
        """Return whom the QEMU of each VM runs as now, or will."""
        guests, shared = self.users, users.shared()
        owners = {
            vm.name: guests.of(self.target.name, vm.name, "") if guests else shared
            for vm in self.target.plan.vms
        }
        if not self.run.recreate:
            owners |= {d.vm: (d.uid, d.gid) if d.uid else shared for d in self.domains}
        return owners

    @cached_property
    def users(self) -> GuestUsers | None:
        """The users that guests are started as; None where there is one for all.

        Raises VmnetError when /etc/vmnet/config.yaml cannot be used.
        """
        found = users.available()
        return found if self.is_embedded else users.of_daemon(found)

    @property
    def shared(self) -> set[str]:
        """The VMs that have no user of their own: a daemon gives the user's disks to its one."""
        if self.is_embedded:
            return set()
        return {vm.name for vm in self.target.plan.vms if any(d.path or d.device for d in vm.disks)}

    def _with_user(self, saved: Domain) -> Domain:
        uid, gid = 0, 0
        if self.users and saved.vm not in self.shared:
            uid, gid = self.users.of(saved.plan, saved.vm, saved.accel)
        return replace(saved, uid=uid, gid=gid)

    def _refuse_taken_users(self, fresh: Iterable[str]) -> None:
        if not self.users:
            return
        plan = self.target.name
        uids = {vm: self.users.of(plan, vm, "")[0] for vm in fresh if vm not in self.shared}
        known = {d.vm: d.uid for d in self.domains if d.uid and d.vm not in uids}
        refuse([*user.collisions({**known, **uids}, users.taken(uids, plan))])

    def hosted(self, facts: "Facts | None" = None) -> HostedPlan:
        """Return the plan on this host, as `facts` or the last look tell of it."""
        facts = facts or self.snapshot.facts
        return HostedPlan(self.target.plan, self.target.positions, self.nics, facts)

    @contextmanager
    def claimed(self, fresh: Container[str]) -> Iterator[None]:
        """Keep other plans from taking what the VMs in `fresh` will have, while the block runs.

        Raises Complaints when another plan's `up` is giving one of their addresses or MACs to its
        own guests, or has made a device with such a MAC since the host was looked at.
        """
        plan, here = self.target.plan, self.hosted()
        wanted = conflicts.claims(here, fresh)
        with reservations.held(plan.name, wanted, self.tell) as taken:
            found = list(conflicts.claimed_elsewhere(here, taken, wanted))
            if wanted and not found:
                here = self.hosted(replace(here.facts, links=self.worker.do(links.every)))
                for network in plan.networks:
                    if network.uplink and not network.granted:
                        found += host.macs_taken(here, network)
            refuse(found)
            yield

    def wanted(
        self, *, build: bool = True, restored: Mapping[str, Domain] | None = None
    ) -> Resources:
        """Return what must exist for the plan to be up; without `build`, no image is made for it.

        VMs that run keep the image and the accelerator they were started with, unless they are to
        be recreated: a newer vmnet is not a reason to restart a guest. So do those in `restored`.
        """
        plan, only = self.target.plan, self.run.only
        vms = [vm for vm in plan.vms if only is None or vm.name in only]
        have = self.domains
        kept = {} if self.run.recreate else {d.vm: d for d in have}
        for name, domain in (restored or {}).items():
            # Its memory is taken up by a new QEMU.
            kept[name] = self._with_user(domain)
        if self.run.command.judges_images:
            self._refuse_taken_users(v.name for v in vms if v.name not in {d.vm for d in have})
        there = self.snapshot.resources.values()
        disks = {r.path: r for r in there if isinstance(r, Overlay)}
        loader = firmware.loader()
        images = defaults.images(self.target, kept, self.tell if build else None, only)
        if self.run.command.judges_images:
            refuse(imagerules.complaints(plan, self.target.positions, images, disks, loader))
        accel = Chosen("", "")
        if any(vm.name not in kept for vm in vms):
            accel = defaults.accelerator(plan, images.values())
            self.choose("accel", accel)
        elif have:
            self.choose("accel", Chosen(have[0].accel, "the VMs that run use it"))
        self._tell_host_access()
        own = (self.users, self.shared, self._login_keys(any(v.name not in kept for v in vms)))
        new = New(images, accel, kept, disks, self.files, loader, self.texts, *own)
        return desired(plan, self.nics, self.snapshot.facts, new)

    def keep_login_keys(self) -> bool:
        """Choose what `ssh_keys: auto` stands for and keep it; return whether that is new.

        Then what is wanted has to be asked for again. Raises VmnetError when it cannot be kept.
        """
        return defaults.keep_keys(self.target, mark_of(self.target))

    def _tell_host_access(self) -> None:
        """Tell at which addresses guests reach this host, where the plan leaves them to vmnet."""
        for name, found in addressing.met_at(self.target.plan).items():
            if not self.target.plan.network(name).host_access:
                addresses = ", ".join(map(str, found))
                why = "host_access: true; guests reach this host there"
                self.choose(f"address of this host on {name}", Chosen(addresses, why))

    def _login_keys(self, for_new: bool) -> tuple[str, ...]:  # noqa: FBT001
        """Return what `ssh_keys: auto` stands for; it is told where a guest will get them."""
        found = defaults.keys(self.target)
        # Once kept they are "as before", which is said of those of an earlier run alone.
        if found and for_new and "ssh_keys" not in self.chosen:
            self.choose("ssh_keys", Chosen(found.whose, found.why))
        return found.keys if found else ()


@overload
def begun(target: PlanTarget, run: CommandRun) -> AbstractContextManager[Session]: ...
@overload
def begun(target: NameTarget, run: CommandRun) -> AbstractContextManager[HostSession]: ...
@contextmanager
def begun(target: NameTarget | PlanTarget, run: CommandRun) -> Iterator[Any]:
    """Hold the plan's lock, open libvirt, look at the host.

    Raises VmnetError when the host cannot: no rights, no libvirt, the lock held for too long.
    """
    if os.geteuid() and (
        isinstance(target, NameTarget) or all(n.granted for n in target.plan.networks)
    ):
        privileges.require_qemu()
    else:
        privileges.require()
    home, root = paths.home(target.name), paths.libvirt_root(target.name)
    if run.command.ends_guests:
        privileges.close_own_folders(home, root, paths.state(), paths.run())
    privileges.require_own_folders(paths.state(), home, paths.run(), root, paths.cache())
    if run.command.starts_guests:
        plan_folders.refuse_foreign(home, target.name)
    lock = locks.held(
        paths.lock_file(target.name),
        f"{run.command} {target.name}",
        timeout_s=run.lock_timeout_s,
        notify=run.tell,
        tidy=run.command.changes_host or not paths.run().exists(),
    )
    # The worker ends first: whoever waits for the lock finds libvirt free to be opened.
    with lock, closing(run.worker):
        session = _opened(target, run)
        if isinstance(session, Session):
            plan, nics = session.target.plan, session.nics
            session.snapshot = kept.put_back(plan, nics, session.snapshot, run)
        try:
            yield session
        except BaseException:
            # Nothing is taken away on an old look, or when the host cannot be looked at.
            with suppress(VmnetError):
                session.look()
                session.tidy()
            raise
        session.tidy()


def connection_of(target: NameTarget | PlanTarget) -> str:
    """Return where libvirt is: what the operator names, or the plan; without a file, its mark."""
    if isinstance(target, PlanTarget) or target.uri:
        return target.connection
    mark = plan_marks.read(paths.home(target.name))
    return (mark and mark.connection) or target.connection


def mark_of(target: NameTarget | PlanTarget) -> PlanMark:
    """Return what the folder of a plan is marked with when it is made now."""
    return replace(
        plan_marks.new(target.name),
        file=target.file if isinstance(target, PlanTarget) else "",
        words=target.words if isinstance(target, PlanTarget) else "",
        connection="" if connection_of(target) == "auto" else connection_of(target),
    )


def on_host(plan: "Plan", nics: "Nics", facts: "Facts") -> "Nics":
    """Return NICs with the MACs that are not the plan's: the host's, or of root's devices."""
    from provisioner.network.addressing import with_macs

    macs = {n.name: uplink_mac(plan, n, facts) for n in plan.networks}
    return granted.as_granted(with_macs(plan, nics, macs), granted.devices(plan, facts))


def _opened(target: NameTarget | PlanTarget, run: CommandRun) -> HostSession:
    within_s = run.timeout_s or None
    opening = run.worker.within(within_s and max(within_s, _OPEN_S)).call(
        MACHINE.open, target.name, connection_of(target), mark_of(target)
    )
    nics: Nics = {}
    if isinstance(target, PlanTarget):  # meanwhile, on the other core
        from provisioner.network.addressing import assign

        nics = assign(target.plan)
        if run.command.starts_guests:
            render.warm_up()
    chosen = opening.result()
    snapshot = run.worker.within(within_s).do(MACHINE.observe)
    session = HostSession(target, run, snapshot)
    if isinstance(target, PlanTarget):
        session = Session(target, run, snapshot, on_host(target.plan, nics, snapshot.facts))
    session.choose("libvirt", chosen)
    return session


def one(target: PlanTarget | NameTarget, vm: str) -> str:
    """Return the VM that is meant; its name may be left out when the plan is known, and has one."""
    if isinstance(target, NameTarget):
        return target.vm(vm)
    known = [v.name for v in target.plan.vms]
    if vm in known:
        return vm
    if not vm and len(known) == 1:
        return known[0]
    raise no_vm(target.plan, vm)


def named_vms(target: PlanTarget, vms: Collection[str]) -> frozenset[str]:
    """Return VMs that a command line names. Raises VmnetError when one is not the plan's."""
    return frozenset(one(target, vm) for vm in vms)


def no_vm(plan: "Plan", vm: str) -> VmnetError:
    """Return the error for a VM that the plan does not have."""
    return unknown_vm(plan.name, vm, [v.name for v in plan.vms])


def unknown_vm(plan: str, vm: str, known: Iterable[str]) -> VmnetError:
    """Return the error for a VM that is not among those of a plan."""
    what = f'the plan {plan} has no VM "{one_line(vm)}"' if vm else "which VM?"
    return bad_input(what, f"its VMs: {', '.join(known)}")


def domain(resources: Iterable[Resource], vm: str) -> Domain:
    """Find a VM's domain. Raises VmnetError when it is not up."""
    for r in resources:
        if isinstance(r, Domain) and r.vm == vm:
            return r
    raise VmnetError(f'VM "{vm}" is not up', fix="bring the plan up: vmnet up")
