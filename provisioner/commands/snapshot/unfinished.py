"""Guests that a killed run of `snapshot` has left paused: they go on."""

from collections.abc import Container

from provisioner.commands.session import Session
from provisioner.guest.domain_state import PAUSED
from provisioner.host.libvirt import memory
from provisioner.host.machine import MACHINE
from provisioner.host.storage import snapshots


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
    if was_saving and (resumed := call(MACHINE.on_domains, memory.resume, others)):
        session.tell(f"resumed {', '.join(resumed)}: left by a snapshot that was killed")
