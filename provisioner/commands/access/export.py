"""vmnet export: a plan written down for other programs; no libvirt is asked and no guest."""

from ipaddress import ip_network
from typing import TYPE_CHECKING

from provisioner.commands.access.ssh import SshAccess, identity
from provisioner.commands.session import one
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import bad_input
from provisioner.export import (
    ansible,
    containers,
    free_range,
    graph,
    libvirt_network,
    networkd,
    picture,
)
from provisioner.export import hosts as hosts_file
from provisioner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from provisioner.export.free_range import FreeRange
    from provisioner.export.graph import ReportCell
    from provisioner.plan.ip import Subnet
    from provisioner.plan.model import Network, Plan


def inventory(target: PlanTarget, run: CommandRun, key: str) -> str:
    """Return an inventory of Ansible for a plan's guests; `key` is as of `ssh_config`."""
    access = SshAccess(target, run)
    return ansible.inventory(target.plan, *access.logins(), identity(target.name, key))


def hosts(target: PlanTarget, run: CommandRun) -> str:
    """Return a plan's guests as lines of /etc/hosts; addresses that this host reaches go first."""
    access = SshAccess(target, run)
    return hosts_file.hosts(target.plan, access.nics, access.reached())


def drawn(target: PlanTarget, run: CommandRun, form: str, report: "Path | None") -> str:
    """Return a plan as a graph: dot, mermaid, svg or html; with the cells of a report's file.

    Raises VmnetError when the file has no report of a check.
    """
    access = SshAccess(target, run)
    known = target.plan, access.nics, _cells(report) if report else ()
    match form:
        case "dot":
            return graph.as_dot(graph.graph(*known))
        case "mermaid":
            return graph.as_mermaid(graph.graph(*known))
        case "svg":
            return picture.as_svg(*known)
        case _:
            return picture.as_page(*known)


def _cells(path: "Path") -> "list[ReportCell]":
    try:
        return graph.cells_of(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise bad_input(
            f"{one_line(str(path))} is no report of a check: {one_line(str(error))}",
            "write one: vmnet check --json > report.json",
        ) from error


def beside(target: PlanTarget, run: CommandRun, name: str, ranges: "Sequence[str]") -> "Beside":
    """Return a network of the plan, and addresses on it for machines that are no guests.

    Raises VmnetError where no macvlan can be beside the guests, or no address is free.
    """
    access = SshAccess(target, run)
    network = free_range.network_named(target.plan, name)
    free_range.refuse_exclusive(network, "a container")
    uplink = access.facts.link(network.uplink or "")
    others = [one.ip for one in uplink.addresses] if uplink else []
    wanted = [_range(text) for text in ranges]
    found = free_range.free_ranges(target.plan, access.nics, network, others, wanted)
    return Beside(target.plan, network, tuple(found))


@dataclass(frozen=True, slots=True)
class Beside:
    """A network of a plan, and what is free there."""

    plan: "Plan"
    network: "Network"
    ranges: "tuple[FreeRange, ...]"

    @property
    def as_compose(self) -> str:
        """Return it as a file of Compose."""
        return containers.docker_macvlan(self.plan, self.network, self.ranges)

    @property
    def as_attachment(self) -> str:
        """Return it as a NetworkAttachmentDefinition of Kubernetes."""
        return containers.attachment(self.plan, self.network, self.ranges)


def of_libvirt(target: PlanTarget, name: str) -> str:
    """Return a network of the plan as one of libvirt's. Raises VmnetError where it cannot be."""
    network = free_range.network_named(target.plan, name)
    return libvirt_network.libvirt_network(target.plan, network)


def of_networkd(target: PlanTarget, run: CommandRun, vm: str) -> dict[str, str]:
    """Return the files by which a VM's systemd-networkd configures its NICs, by their names."""
    access = SshAccess(target, run)
    return networkd.files(target.plan, access.nics, one(target, vm))


def _range(text: str) -> "Subnet":
    try:
        return ip_network(text)
    except ValueError as error:
        raise bad_input(
            f"--range: {one_line(str(error))}", "write ADDRESS/BITS: --range 192.168.1.224/27"
        ) from error
