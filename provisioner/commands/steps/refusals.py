"""Steps that `up` does not take: they would lose or end what the command does not name."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.errors import Exit, VmnetError, refuse
from provisioner.guest.domain import Domain, Overlay
from provisioner.host.moving import given
from provisioner.network.resources import Macvtap
from provisioner.preflight import room
from provisioner.reconcile import partial
from provisioner.reconcile.diff import Step, Verb

if TYPE_CHECKING:
    from provisioner.commands.session import Session
    from provisioner.commands.target import CommandRun


def refuse_losses(steps: list[Step]) -> None:
    """Raise Complaints about disks that would be made anew, and lose what is to be kept."""
    refuse(
        [
            VmnetError(
                f"{s.title} would have to be made anew ({s.cause}), and what its guest has written "
                "would be lost",
                fix="take the change back; to begin anew without it: "
                f"vmnet down {s.resource.vm} --disks, then vmnet up",
                status=Exit.CONFLICT,
            )
            for s in steps
            if s.verb is Verb.DELETE and isinstance(s.resource, Overlay) and s.resource.stays
        ]
    )


def refuse_others(steps: list[Step], run: "CommandRun") -> None:
    """Raise Complaints about VMs that would be touched, though the command does not name them."""
    if run.only is None:
        return
    refuse(
        [
            VmnetError(
                f'VM "{vm}" would be ended for that: {s.title} has to be made anew, {s.cause}',
                fix="bring up the whole plan: vmnet up",
                status=Exit.CONFLICT,
            )
            for s in steps
            if s.verb is not Verb.UPDATE and isinstance(s.resource, Domain | Macvtap)
            if (vm := partial.vm_of(s.resource, {})) not in run.only
        ]
    )


def refuse_restarts(steps: list[Step], run: "CommandRun") -> None:
    """Raise Complaints about guests that would be ended, unless the user wants that."""
    created = set() if run.recreate else vms_of(steps, Verb.CREATE)
    refuse(
        [
            VmnetError(
                f'VM "{s.resource.vm}" runs and would have to be started anew: {s.cause}',
                fix="run vmnet up --recreate, or take the change back",
                status=Exit.CONFLICT,
            )
            for s in steps
            if isinstance(s.resource, Domain)
            and s.verb is Verb.DELETE
            and s.resource.vm in created
            and not s.resource.has_ended
        ]
    )


def refuse_given(session: "Session", steps: list[Step]) -> None:
    """Raise Complaints about guests that another host has, or may have: nothing runs twice."""
    found = (given.refusal(session.target.name, vm) for vm in sorted(vms_of(steps, Verb.CREATE)))
    refuse([error for error in found if error])


def refuse_shortage(session: "Session", steps: list[Step]) -> None:
    """Raise Complaints when the host has not the memory or the disk space for these steps."""
    target, facts = session.target, session.snapshot.facts
    sizes = {file.path: Path(file.source).stat().st_size for file in room.copied(steps)}
    refuse(room.complaints(target.plan, target.positions, steps, facts, sizes))


def vms_of(steps: Iterable[Step], *verbs: Verb) -> frozenset[str]:
    """Return the VMs whose domain is created, updated … by steps."""
    domains = (s.resource for s in steps if s.verb in verbs)
    return frozenset(d.vm for d in domains if isinstance(d, Domain))
