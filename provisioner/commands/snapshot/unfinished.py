"""Guests that a killed run has left half started, or paused for a snapshot."""

from collections.abc import Container

from provisioner.commands.session import Session
from provisioner.guest.domain import HalfStarted
from provisioner.guest.domain_state import PAUSED
from provisioner.host.libvirt import memory
from provisioner.host.machine import MACHINE
from provisioner.host.storage import snapshots
from provisioner.reconcile.diff import Step, Verb


def end_half_started(session: Session) -> list[Step]:
    """Take away what a killed run has half started: until then libvirt cannot be asked.

    Returns what was done. Raises VmnetError.
    """
    half = [r for r in session.snapshot.resources.values() if isinstance(r, HalfStarted)]
    steps = [Step(Verb.DELETE, one, one.UNWANTED) for one in half]
    for step in steps:
        session.worker.do(MACHINE.perform, step)
        session.tell(str(step))
    if steps:
        session.look()
    return steps


def go_on(session: Session, but: Container[str] = ()) -> None:
    """Resume the guests that a killed run has left paused, but for the domains in `but`.

    While they are saved, the draft of the snapshot shows it; restored ones bear a mark. Whether
    they are paused is asked anew: a libvirt that has just been opened knows only what it last knew.
    """
    names = [d.name for d in session.domains if d.name not in but]
    was_saving = snapshots.left(session.target.name)
    is_any_paused = any(live.state.startswith(PAUSED) for live in session.snapshot.facts.live)
    if not names or not (was_saving or is_any_paused):
        return
    call = session.worker.do
    restored = [n for n in call(MACHINE.on_domains, memory.left) if n in names]
    if restored:
        session.tell(f"resume {', '.join(restored)}: left by a restore that was killed")
        call(MACHINE.on_domains, memory.begin, restored)
    others = [n for n in names if n not in restored]
    if not was_saving:
        return
    call(MACHINE.on_domains, memory.give_up, names)
    if resumed := call(MACHINE.on_domains, memory.resume, others):
        session.tell(f"resumed {', '.join(resumed)}: left by a snapshot that was killed")
