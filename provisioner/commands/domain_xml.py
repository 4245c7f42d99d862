"""The XML that libvirt is given for a VM: from vmnet's own template, or from one of the user's."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError, collected, refuse
from provisioner.guest.domain import Domain
from provisioner.guest.xml import render
from provisioner.guest.xml.label import labelled
from provisioner.reconcile.diff import Step, Verb
from provisioner.resource import Key

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget


def domain_xmls(target: "PlanTarget", steps: Iterable[Step]) -> dict[Key, str]:
    """Return the XML of every domain that steps will create, before the first is done.

    Raises Complaints, all at once, when templates of the user's give what must not go to libvirt.
    """
    found: dict[Key, str] = {}
    errors: list[VmnetError] = []
    for step in steps:
        if step.verb is Verb.CREATE and isinstance(step.resource, Domain):
            with collected(errors):
                found[step.resource.key] = domain_xml(target, step.resource)
    refuse(errors)
    return found


def domain_xml(target: "PlanTarget", domain: Domain) -> str:
    """Return the XML of one domain.

    Raises VmnetError or Complaints when a template of the user's cannot be used.
    """
    vm = target.plan.vm(domain.vm)
    if not vm.template:
        return labelled(render.domain_xml(domain), domain)
    # Heavy, and needed by those who write templates only.
    from provisioner.guest.xml import check
    from provisioner.host.template import fill

    allowed = target.positions.where("vms", vm.name, "allow_xml")
    refuse([error.at(allowed) for error in check.unusable(vm.allow_xml)])
    where = target.positions.where("vms", vm.name, "template")
    template = fill.read(target.fence, vm.template, where)
    return labelled(fill.domain_xml(template, domain, vm.allow_xml), domain)
