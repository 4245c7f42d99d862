"""A plan's guests put back to a snapshot, as a part of bringing the plan up."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Final

from provisioner.commands.session import Session
from provisioner.commands.snapshot.unfinished import end_half_started
from provisioner.commands.target import SnapshotWish
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, refuse
from provisioner.guest import snapshot
from provisioner.guest.domain import Domain
from provisioner.guest.snapshot import SavedGuest, SavedPlan
from provisioner.host.guest.commands import Guests
from provisioner.host.libvirt import memory
from provisioner.host.machine import MACHINE
from provisioner.host.storage import snapshots
from provisioner.host.system import paths
from provisioner.network.resources import Macvtap
from provisioner.reconcile.diff import Step, Verb
from provisioner.resource import Key, Resources, by_key
from provisioner.signals import deferred
from provisioner.text import one_line

_AGENTS_S: Final = 20.0  # until agents of guests that were restored answer
_CLOCK_S: Final = 2.0  # that a clock may be wrong before it is told


@dataclass(slots=True)
class Restoring:
    """A snapshot that guests are being put back to; it has been proved that they can."""

    saved: SavedPlan
    guests: tuple[SavedGuest, ...]
    running: list[str]  # domains that are ended for it
    _drafts: list[tuple[Path, Path]] = field(default_factory=list)

    @property
    def domains(self) -> dict[str, Domain]:
        """The domains as they were, by VM."""
        return {guest.vm: guest.domain for guest in self.guests}

    @property
    def memories(self) -> dict[Key, str]:
        """The files that domains are restored from."""
        return {
            g.domain.key: snapshots.memory(self.saved.plan, self.saved.name, g.vm)
            for g in self.guests
        }

    def goal(self, session: Session, want: Resources) -> Resources:
        """Return what is to be there: guests as they were, all else as the plan wants it.

        Raises Complaints when one of them cannot be in the plan as it is now.
        """
        goal = dict(want)
        unfit = [
            snapshot.unfit(old, wanted if isinstance(wanted, Domain) else None)
            for old in self.domains.values()
            for wanted in [want.get(old.key)]
        ]
        refuse([error for error in unfit if error])
        for old in self.domains.values():
            new = want[old.key]
            if not isinstance(new, Domain):
                continue
            old = replace(old, uid=new.uid, gid=new.gid)  # noqa: PLW2901  (its QEMU is a new one)
            if changes := snapshot.changes(old, new):
                session.tell(
                    f"{old.vm} comes back as it was, the plan has changed since: {changes}"
                )
            kept = set(old.needs())
            for key in set(new.needs()) - kept:
                if key[0] != Macvtap.KIND:
                    goal.pop(key, None)
            there = session.snapshot.resources
            goal |= {key: there[key] for key in kept if key in there and key not in want}
            goal[old.key] = old
        return goal

    def put(self, session: Session) -> None:
        """End the guests that run, and give each its files of that moment.

        All are copied before the first guest is ended: a run that is killed before changes nothing.
        """
        self._drafts = snapshots.put_aside(self.saved, self.guests)
        try:
            calls = [
                session.worker.call(MACHINE.on_domains, memory.end, name) for name in self.running
            ]
            for call in calls:
                call.result()
        except BaseException:
            snapshots.drop(self._drafts)
            raise
        for name in self.running:
            session.tell(f"end domain {name}: it is put back to {self.saved.name}")
        with deferred():
            snapshots.put_back(self.saved, self.guests, self._drafts)

    def resume(self, session: Session, done: Iterable[Step]) -> None:
        """Let the guests that were restored go on, together, with the clock of now."""
        created = {s.resource.key for s in done if s.verb is Verb.CREATE}
        there = [d for d in self.domains.values() if d.key in created]
        if not there:
            return
        session.worker.do(MACHINE.on_domains, memory.begin, [d.name for d in there])
        session.tell(f"resumed {', '.join(d.vm for d in there)} as of {_when(self.saved.made)}")
        asked = session.await_agents([d.vm for d in there if d.image.agent], _AGENTS_S)
        calls = [(vm, session.worker.call(MACHINE.guest, vm, Guests.set_clock)) for vm in asked]
        for vm, call in calls:
            try:
                wrong_s = call.result()
            except VmnetError as error:
                session.tell(f"warning: the clock of {vm} could not be set: {error.what}")
                continue
            if abs(wrong_s) > _CLOCK_S:
                session.tell(f"warning: the clock of {vm} is wrong by {wrong_s:.0f} s")


def begun(session: Session, wish: SnapshotWish | None) -> Restoring | None:
    """Prove that guests can be put back to a snapshot, and take it that their files are there.

    Nothing that runs is touched. None when no snapshot is asked for, or none is needed. Raises
    VmnetError.
    """
    if wish is None:
        return None
    plan = session.target.plan.name
    name = snapshot.checked_name(wish.name)
    saved = snapshots.read(plan, name)
    guests = snapshot.chosen(saved, wish.vms)
    end_half_started(session)
    running = _running(session, guests)
    never_run = set(session.worker.do(MACHINE.on_domains, memory.never_run)) if running else set()
    lost = [domain for domain in running if domain.name not in never_run]
    if wish.only_missing and lost:
        if len(lost) < len(guests):
            raise VmnetError(
                f"{', '.join(d.vm for d in lost)} of the snapshot {name} "
                f"{'runs' if len(lost) == 1 else 'run'} already, and others do not: together they "
                "would be of two moments",
                fix=f"end them for it: vmnet snapshot restore {name} --yes; or do without: "
                "vmnet up",
                status=Exit.CONFLICT,
            )
        session.tell(f"all guests of the snapshot {name} run already: they stay as they are")
        return None
    for error in (
        snapshot.too_old(saved, session.worker.do(MACHINE.on_domains, memory.versions).qemu),
        snapshots.absent(saved, guests),
        *(_other_memory(session, saved, guest) for guest in guests),
    ):
        if error:
            raise error
    needed = snapshots.room_of(saved, guests)
    snapshots.require_room(paths.home(plan), needed, f"the files of the snapshot {name}")
    _ask(session, saved, guests, lost)
    back = Restoring(saved, guests, [domain.name for domain in running])
    _imagine(session, back)
    return back


def _running(session: Session, guests: Sequence[SavedGuest]) -> list[Domain]:
    there = {domain.name: domain for domain in session.domains}
    return [there[g.domain.name] for g in guests if g.domain.name in there]


def _other_memory(session: Session, saved: SavedPlan, guest: SavedGuest) -> VmnetError | None:
    """Return why the memory of a guest is not that of the manifest, None when it is."""
    path = snapshots.memory(saved.plan, saved.name, guest.vm)
    try:
        found = session.worker.do(MACHINE.on_domains, memory.described, path)
    except VmnetError as error:
        return snapshot.unusable(saved.name, error.what)
    if found is None or replace(found, home=guest.domain.home) != guest.domain:
        return snapshot.unusable(
            saved.name, f"the memory of {guest.vm} is not of the guest that its manifest has"
        )
    return None


def _ask(
    session: Session, saved: SavedPlan, guests: Sequence[SavedGuest], lost: Sequence[Domain]
) -> None:
    """Ask before anything is lost that was done or written since. Raises VmnetError for a no."""
    when = _when(saved.made)
    losses = [f"{d.vm} runs: it is ended, and all it has done since {when} is lost" for d in lost]
    ending = {d.vm for d in lost}
    others = [guest for guest in guests if guest.vm not in ending]
    losses += [
        f"{one_line(str(path))} was written to after {when}: that is lost"
        for path in snapshots.written_since(saved, others)
    ]
    if losses:
        session.run.agree(losses)


def _imagine(session: Session, back: Restoring) -> None:
    """Change the last look to what there will be when the files have been put back."""
    saved, guests = back.saved, back.guests
    there = dict(session.snapshot.resources)
    for guest in guests:
        there.pop(guest.domain.key, None)
    there |= by_key(snapshots.files(saved.plan, saved.name, guests))
    session.snapshot = replace(session.snapshot, resources=there)


def _when(made: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(made))
