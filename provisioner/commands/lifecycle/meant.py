"""Which VMs a command means: those that its words name, or all that the plan has."""

from collections.abc import Collection, Iterator

from provisioner.commands.session import HostSession, unknown_vm
from provisioner.commands.target import PlanTarget
from provisioner.reconcile import partial


def meant(session: HostSession, vms: Collection[str]) -> set[str]:
    """Return the VMs that are meant; all without words. Raises VmnetError about unknown ones."""
    known = set(_known(session))
    for vm in vms:
        if vm not in known:
            raise unknown_vm(session.target.name, vm, sorted(known))
    return set(vms) or known


def _known(session: HostSession) -> Iterator[str]:
    if isinstance(session.target, PlanTarget):
        yield from (vm.name for vm in session.target.plan.vms)
    yield from partial.vms(session.snapshot.resources)
