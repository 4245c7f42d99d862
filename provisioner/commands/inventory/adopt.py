"""vmnet adopt: a plan for domains of libvirt that stand on macvtaps. Nothing is touched."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError, bad_input
from provisioner.host.libvirt import listing
from provisioner.host.netlink import links
from provisioner.inventory import adopted, adopted_plan
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.target import Tell
    from provisioner.host.system.worker import Worker


def adopt(worker: "Worker", plan: str, names: Sequence[str], connection: str, tell: "Tell") -> str:
    """Return the text of a plan for these domains, or for all that run and have a macvtap.

    `tell` gets what is not in it. Raises VmnetError when there is none, or no libvirt answers.
    """
    uri = connection or listing.daemon()
    if not uri:
        raise VmnetError(
            "no libvirt daemon answers that could have domains",
            fix="name the libvirt that has them: --connection qemu:///session",
        )
    domains = worker.do(listing.described, uri, tuple(names))
    found = {link.name: link for link in worker.do(links.every)}
    if missing := sorted(set(names) - {name for name, _ in domains}):
        raise bad_input(
            f"{uri} has no domain {one_line(', '.join(missing))}", "see: virsh list --all"
        )
    vms = [adopted.read(name, xml, found) for name, xml in domains]
    if not any(not vm.refusal for vm in vms):
        for vm in vms:
            tell(one_line(f"left out: the domain {vm.domain}: {vm.refusal}"))
        raise VmnetError(
            f"no domain of {uri} can be adopted", fix="name one that has a NIC on a macvtap"
        )
    for vm in vms:
        if vm.refusal:
            tell(one_line(f"left out: the domain {vm.domain}: {vm.refusal}"))
        for note in vm.notes if not vm.refusal else ():
            tell(one_line(f"{vm.domain}: a plan cannot say: {note}"))
    return adopted_plan.plan_text(plan, vms if names else [vm for vm in vms if not vm.refusal])
