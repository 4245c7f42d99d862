"""The XML that libvirt is given for a VM: from vmnet's own template, or from one of the user's."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from provisioner.errors import Complaints, VmnetError
from provisioner.guest.domain import Domain
from provisioner.guest.xml import render
from provisioner.reconcile.diff import Step, Verb
from provisioner.resource import Key

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget


def drawn(target: "PlanTarget", steps: Iterable[Step]) -> dict[Key, str]:
    """Draw every domain that steps will create, by its key, before the first of them is done.

    Raises Complaints, all at once, when templates of the user's give what must not go to libvirt.
    """
    found: dict[Key, str] = {}
    errors: list[VmnetError] = []
    for step in steps:
        if step.verb is Verb.CREATE and isinstance(step.resource, Domain):
            try:
                found[step.resource.key] = domain_xml(target, step.resource)
            except Complaints as complaints:
                errors += complaints.errors
            except VmnetError as error:
                errors.append(error)
    if errors:
        raise Complaints(errors)
    return found


def domain_xml(target: "PlanTarget", domain: Domain) -> str:
    """Draw one domain. Raises VmnetError or Complaints when a template of the user's cannot be."""
    vm = target.plan.vm(domain.vm)
    if not vm.template:
        return render.domain_xml(domain)
    # Heavy, and needed by those who write templates only.
    from provisioner.guest.xml import check
    from provisioner.host.system import plan_files
    from provisioner.host.template import fill

    places = target.positions
    if unusable := check.unusable(vm.allow_xml):
        where = places.where("vms", vm.name, "allow_xml")
        raise Complaints(
            [VmnetError(e.what, where=where, fix=e.fix, status=e.status) for e in unusable]
        )
    where = places.where("vms", vm.name, "template")
    try:
        with plan_files.found(target.fence, "template", vm.template) as found:
            shown = str(target.folder / vm.template)
            template = fill.read(found.itself, where, shown=shown, quote=not found.outside)
    except VmnetError as error:
        raise VmnetError(
            error.what, where=error.where or where, fix=error.fix, status=error.status
        ) from error
    return fill.domain_xml(template, domain, vm.allow_xml)
