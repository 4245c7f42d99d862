"""vmnet export: a plan written down for other programs; no libvirt is asked and no guest."""

from typing import TYPE_CHECKING

from provisioner.commands.access.ssh import SshAccess, identity
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.errors import bad_input
from provisioner.export import ansible, graph, picture
from provisioner.export import hosts as hosts_file
from provisioner.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from provisioner.export.graph import ReportCell
    from provisioner.plan.nic_id import NicId


def inventory(target: PlanTarget, run: CommandRun, key: str) -> str:
    """Return an inventory of Ansible for a plan's guests; `key` is as of `ssh_config`."""
    access = SshAccess(target, run)
    return ansible.inventory(target.plan, *access.logins(), identity(target.name, key))


def hosts(target: PlanTarget, run: CommandRun) -> str:
    """Return a plan's guests as lines of /etc/hosts; addresses that this host reaches go first."""
    access = SshAccess(target, run)
    return hosts_file.hosts(target.plan, access.nics, reached(access))


def reached(access: SshAccess) -> "dict[str, list[NicId]]":
    """Return the NICs at which this host reaches each VM."""
    return {
        vm.name: [way.nic for way in access.ways(vm.name) if way.sure] for vm in access.plan.vms
    }


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
