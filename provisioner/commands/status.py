"""status and render: questions that change nothing."""

import time
from collections.abc import Iterator
from dataclasses import replace

from provisioner.commands import defaults, plan_files
from provisioner.commands.domain_xml import domain_xml
from provisioner.commands.execute import Outcome
from provisioner.commands.guards import kept
from provisioner.commands.inventory import expiry
from provisioner.commands.reporting.reported import reported
from provisioner.commands.session import HostSession, Session, begun, domain, one
from provisioner.commands.target import CommandRun, NameTarget, PlanTarget
from provisioner.errors import Exit, VmnetError
from provisioner.guest.agent_info import GuestInfo
from provisioner.guest.boot import New
from provisioner.guest.jail.walls import Walls, judged
from provisioner.host.jail import users, walls
from provisioner.host.machine import MACHINE
from provisioner.host.network import impairment, nftables
from provisioner.host.storage import firmware
from provisioner.host.system import paths
from provisioner.host.system.worker import Call
from provisioner.network.facts import Chosen, Facts
from provisioner.plan.nic_id import numbered
from provisioner.preflight.warnings import of_uplinks
from provisioner.reconcile.desired import desired
from provisioner.reconcile.diff import diff
from provisioner.report.report import Report
from provisioner.resource import Leftover

_AGENTS_S = 2.0  # until libvirt, just opened, has found the agents again
_ALL_S = 8.0  # of all guests' answers
_RUNS = "running"


def status(target: PlanTarget | NameTarget, run: CommandRun) -> Report:
    """Return what the plan is made of now, and what `up` would do."""
    with begun(target, run) as session:
        have = session.snapshot.resources
        want = {k: r for k, r in have.items() if not isinstance(r, Leftover)}
        if isinstance(session, Session):
            want = dict(session.wanted(build=False))
        left = diff(want, have)
        if isinstance(session, Session):
            for line in of_uplinks(session.target.plan, session.snapshot.facts):
                run.tell(f"warning: {line}")
        for line in (*_hindrances(session), *expiry.told(target.name)):
            run.tell(line)
        report = reported(session, Outcome(), left)
        if isinstance(session, Session):
            known = session.target.plan, session.nics, session.snapshot
            for line in kept.unseen(session.target.plan, session.snapshot.facts):
                run.tell(line)
            found = tuple(kept.findings(*known, want))
            report = replace(report, findings=found)
            if found and report.status is Exit.DONE:
                report = replace(report, status=Exit.CHECK_FAILED)
        return _with_guests(session, report) if run.wide else report


def _with_guests(session: HostSession, report: Report) -> Report:
    """Add to each VM that runs what its guest reports of itself, or why it reports nothing."""
    running = {vm.name for vm in report.vms if vm.state == _RUNS}
    agents = session.await_agents(running, _AGENTS_S) if running else set()
    end = time.monotonic() + _ALL_S
    calls = {vm: session.worker.call(MACHINE.info, vm) for vm in sorted(agents)}
    silent = dict.fromkeys(running - agents, GuestInfo(problem="its guest agent does not answer"))
    silent |= {
        vm.name: GuestInfo(problem=f"it is {vm.state}")
        for vm in report.vms
        if vm.pid and vm.state != _RUNS
    }
    guests = silent | {vm: _guest(call, end) for vm, call in calls.items()}
    own = {domain.vm: domain.uid for domain in session.domains}
    return replace(
        report,
        vms=tuple(
            replace(vm, guest=guests.get(vm.name), walls=_walls(vm.pid, own.get(vm.name, 0)))
            for vm in report.vms
        ),
    )


def _walls(pid: int, user: int) -> Walls | None:
    found = walls.seen(pid) if pid else None
    return judged(found, user) if found else None


def _guest(call: Call[GuestInfo], end: float) -> GuestInfo:
    try:
        return call.result(max(0.1, end - time.monotonic()))
    except TimeoutError:
        return GuestInfo(problem=f"it has not answered after {_ALL_S:g} s")
    except VmnetError as error:
        return GuestInfo(problem=error.what)


def _hindrances(session: HostSession) -> Iterator[str]:
    """Return what keeps frames of the plan's guests from passing: vmnet link, and their guards."""
    domains = session.domains
    devices = {nic.link: str(key) for d in domains for key, nic in numbered(d.vm, d.nics)}
    if not devices or session.snapshot.facts.user:
        return  # nft answers root only
    impaired = session.worker.do(impairment.found_on, list(devices))
    for device, found in impaired.items():
        if found.words:
            nic = devices[device]
            yield (
                f"{nic}: {found.words}, set by vmnet link, {found.dropped} frames dropped; take "
                f"it away: vmnet link {nic} --clear"
            )
    dropped = session.worker.do(nftables.dropped)
    for device, number in dropped.items():
        if number and device in devices:
            yield f"{devices[device]}: its spoof guard has dropped {number} frames"


def render(target: PlanTarget, vm: str) -> str:
    """Return the XML of one VM of the plan, as `up` would pass it to libvirt; no rights are needed.

    Raises VmnetError when the plan has no such VM.
    """
    from provisioner.network.addressing import assign

    plan = target.plan
    facts = Facts(home=str(paths.home(plan.name)))
    accel = Chosen("tcg" if plan.accel == "auto" else str(plan.accel), "for show")
    images = defaults.images(target, {}, None)
    texts = plan_files.texts(target)
    files, loader = plan_files.files(target), firmware.loader()
    keys = defaults.keys(target)
    new = New(images, accel, files=files, loader=loader, texts=texts, users=users.available())
    new = replace(new, login_keys=keys.keys if keys else ())
    want = desired(plan, assign(plan), facts, new)
    return domain_xml(target, domain(want.values(), one(target, vm)))
