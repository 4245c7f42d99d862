"""snapshot save: the memory and the disks of a plan's guests, all of one moment."""

import time
from collections.abc import Sequence
from typing import Final

from provisioner import __version__
from provisioner.commands.session import Session, begun, no_vm
from provisioner.commands.snapshot.unfinished import go_on
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, collected, refuse
from provisioner.guest import snapshot
from provisioner.guest.domain import Domain
from provisioner.guest.snapshot import SavedGuest, SavedPlan
from provisioner.guest.xml.render import to_mark
from provisioner.host.libvirt import memory
from provisioner.host.machine import MACHINE
from provisioner.host.storage import snapshots
from provisioner.host.storage.snapshots import Draft
from provisioner.host.system import paths
from provisioner.signals import deferred

_MEMORY_S: Final = 900.0  # for the memory of the largest guest
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Saved:
    """A snapshot that has been made, and for how many seconds its guests were paused."""

    plan: SavedPlan
    paused_s: float
    took_s: float


def save(target: PlanTarget, run: CommandRun, name: str, vms: Sequence[str] = ()) -> Saved:
    """Save VMs of a plan, all of them without names; they are paused meanwhile, together.

    Raises VmnetError or Complaints, before anything is touched, when they cannot be saved.
    """
    began = time.monotonic()
    snapshot.checked_name(name)
    with begun(target, run) as session:
        domains = _meant(session, vms)
        refuse(list(snapshot.unsavable(domains)))
        go_on(session)
        draft = Draft(target.name, name)
        places = [place for domain in domains for place in snapshot.places(domain)]
        needed = sum(d.memory_mib * _MIB for d in domains) + snapshots.room(target.name, places)
        folder = paths.folder(target.name, "snapshot")
        snapshots.require_room(folder, needed, f"the snapshot {name}")
        draft.begin()
        try:
            saved, paused_s = _saved(session, draft, domains)
            draft.finish(saved)
        except BaseException:
            draft.abandon()
            raise
    return Saved(saved, paused_s, time.monotonic() - began)


def _meant(session: Session, vms: Sequence[str]) -> list[Domain]:
    plan = session.target.plan
    known = [vm.name for vm in plan.vms]
    for vm in vms:
        if vm not in known:
            raise no_vm(plan, vm)
    wanted = list(dict.fromkeys(vms)) or known
    there = {d.vm: d for d in session.domains}
    if missing := [vm for vm in wanted if vm not in there]:
        verb = "is" if len(missing) == 1 else "are"
        raise VmnetError(
            f"{', '.join(missing)} of the plan {verb} not up: there is no memory to save",
            fix="bring it up first (vmnet up), or name the VMs that are: "
            "vmnet snapshot save NAME VM",
        )
    return [there[vm] for vm in wanted]


def _saved(session: Session, draft: Draft, domains: Sequence[Domain]) -> tuple[SavedPlan, float]:
    worker, names = session.worker, [d.name for d in domains]
    found = worker.do(MACHINE.on_domains, memory.versions)
    for domain in domains:
        for place in set(snapshot.places(domain)) - snapshot.written_places(domain):
            draft.take(place)
        draft.take_keys(domain.vm)
    with deferred():  # an interrupt is obeyed when the guests run again
        began, made = time.monotonic(), int(time.time())
        paused = worker.do(MACHINE.on_domains, memory.suspend, names)
        try:
            _take_all(session, draft, domains)
        finally:
            worker.do(MACHINE.on_domains, memory.resume, paused)
        paused_s = time.monotonic() - began
    session.tell(f"saved {', '.join(d.vm for d in domains)}: paused for {paused_s:.1f} s")
    _refuse_changed(session, draft, domains)
    guests = tuple(draft.guest(SavedGuest(domain, 0)) for domain in domains)
    plan = draft.plan
    return (
        SavedPlan(plan, draft.name, made, __version__, found.libvirt, found.qemu, guests),
        paused_s,
    )


def _take_all(session: Session, draft: Draft, domains: Sequence[Domain]) -> None:
    """Save memories and copy what is written to, side by side; guests are not resumed before."""
    slow = session.worker.within(_MEMORY_S)
    calls = [
        slow.call(MACHINE.on_domains, memory.save, d.name, str(draft.memory(d.vm))) for d in domains
    ]
    errors: list[VmnetError] = []
    with collected(errors):
        for domain in domains:
            for place in sorted(snapshot.written_places(domain)):
                draft.take(place)
    for call in calls:
        with collected(errors):
            call.result()
    refuse(errors)


def _refuse_changed(session: Session, draft: Draft, domains: Sequence[Domain]) -> None:
    """Raise Complaints about guests that somebody has changed: they could not be restored."""
    found = [
        (d, session.worker.do(MACHINE.on_domains, memory.described, str(draft.memory(d.vm))))
        for d in domains
    ]
    refuse(
        [
            VmnetError(
                f"{domain.vm} is not what its mark says, so it could not be put back",
                fix="mend it first (vmnet up), then save it again",
                status=Exit.CONFLICT,
            )
            for domain, saved in found
            if saved is None or to_mark(saved) != to_mark(domain)
        ]
    )
