"""What libvirt's hook asks for: the macvtaps of a domain that libvirt starts by itself.

libvirt waits for the hook, so it is not asked for anything: no domain is looked at or changed.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.commands.execute import execute
from provisioner.commands.session import on_host
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain
from provisioner.guest.xml.render import mark_in
from provisioner.host.domain import own_log
from provisioner.host.drivers import drivers
from provisioner.host.libvirt import privileges
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.host.netlink import links
from provisioner.host.network import nftables
from provisioner.host.system import locks, paths, plan_folders, systemd
from provisioner.network import addressing
from provisioner.network.facts import Facts
from provisioner.network.resources import Macvtap
from provisioner.reconcile.desired import desired_network
from provisioner.reconcile.diff import Step, Verb, diff
from provisioner.reconcile.resources import Look
from provisioner.resource import Resources, by_key
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget, Tell

_LOCK_S = 30.0


def stored_plan(xml: str) -> Path | None:
    """Return where the plan of a domain is stored, None when the domain is not vmnet's.

    Raises VmnetError when it is, and no plan of that name comes up at boot.
    """
    domain = mark_in(xml)
    if domain is None or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", domain.plan):
        return None
    path = systemd.PLANS / f"{domain.plan}.yaml"
    if systemd.read(path) is None:
        raise VmnetError(
            f"the domain {one_line(domain.name)} is of the plan {domain.plan}, whose devices "
            "nothing makes: it is not brought up at boot",
            fix="vmnet boot install FILE, or start the plan by: vmnet up FILE",
        )
    return path


def ensure(target: "PlanTarget", xml: str, tell: "Tell") -> int:
    """Make what a domain of the plan needs on the host and has not; return how many things.

    Nothing is deleted or changed. Raises VmnetError when the domain is not of the plan as it is
    stored, or what it needs cannot be made.
    """
    domain = mark_in(xml)
    _refuse_other(target, domain)
    if not _missing(domain):
        return 0  # vmnet itself may be starting it, and holds the plan's lock
    privileges.require()
    lock = paths.lock_file(target.name)
    with locks.held(lock, f"boot devices {target.name}", timeout_s=_LOCK_S, notify=tell):
        steps = _steps(target)
        plan_folders.make(paths.home(target.name), target.name)
        table = drivers(LibvirtSession(target.name))
        outcome = execute(steps, table.perform)
        if domain and Path(domain.console).is_relative_to(paths.home(target.name)):
            own_log(Path(domain.console))
    for step, error in outcome.failed:
        raise VmnetError(f"{step}: {error.what}", fix=error.fix, status=error.status)
    return len(outcome.done)


def _refuse_other(target: "PlanTarget", domain: Domain | None) -> None:
    taps = {name for kind, name in _network(target, Facts()) if kind == Macvtap.KIND}
    if domain is None or not {nic.link for nic in domain.nics if not nic.granted} <= taps:
        raise VmnetError(
            "this domain has NICs that the stored plan has not",
            fix="store the plan as it is now: vmnet boot install FILE; then make the domain anew",
        )


def _missing(domain: Domain | None) -> set[str]:
    here = {link.name for link in links.every()}
    return {nic.link for nic in domain.nics} - here if domain else set()


def _network(target: "PlanTarget", facts: Facts) -> Resources:
    nics = on_host(target.plan, addressing.assign(target.plan), facts)
    return desired_network(target.plan, nics, facts)


def _steps(target: "PlanTarget") -> list[Step]:
    want, look = network_look(target)
    every = by_key(drivers(LibvirtSession(target.name)).observe(look))
    have = {key: resource for key, resource in every.items() if key in want}
    return [
        step
        for step in diff(want, have)
        if step.verb is Verb.CREATE and step.resource.key not in have
    ]


def network_look(target: "PlanTarget") -> tuple[Resources, Look]:
    """Return what a plan must have on the host for its guests, and a look at the host for that.

    Asks no libvirt. Raises VmnetError when the kernel does not answer.
    """
    found, routes = links.observe()
    tables = nftables.listing()
    has_home = plan_folders.is_marked(paths.home(target.name), target.name)
    facts = Facts(
        links=found,
        routes=routes,
        home=str(paths.home(target.name)),
        user=os.geteuid(),
        firewall=nftables.firewall(tables),
    )
    return _network(target, facts), Look(target.name, found, routes, tables, (), has_home)
