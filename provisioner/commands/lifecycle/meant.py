"""Which VMs a command means: those that its words name, or all that the plan has."""

from collections.abc import Collection, Iterator

from provisioner.commands.session import HostSession, unknown_vm
from provisioner.commands.target import PlanTarget
from provisioner.errors import VmnetError, bad_input
from provisioner.host.system import plan_marks
from provisioner.reconcile import partial


def meant(session: HostSession, vms: Collection[str]) -> set[str]:
    """Return the VMs that are meant; all without words. Raises VmnetError about unknown ones."""
    known = set(_known(session))
    for vm in vms:
        if vm not in known:
            raise _unknown(session.target.name, vm, sorted(known))
    return set(vms) or known


def _unknown(plan: str, word: str, known: Collection[str]) -> VmnetError:
    """Return the error for a word that is no VM of the plan; it may be a plan of this host."""
    error = unknown_vm(plan, word, known)
    if word not in {mark.plan for mark in plan_marks.every()}:
        return error
    return bad_input(error.what, f"did you mean --name {word}? {error.fix}")


def _known(session: HostSession) -> Iterator[str]:
    if isinstance(session.target, PlanTarget):
        yield from (vm.name for vm in session.target.plan.vms)
    yield from partial.vms(session.snapshot.resources)
