"""down: everything of a plan goes, but what its guests have written and is to be kept."""

from collections.abc import Set as AbstractSet
from dataclasses import replace

from provisioner.commands.lifecycle.meant import meant
from provisioner.commands.reporting.reported import reported
from provisioner.commands.session import HostSession, begun
from provisioner.commands.target import CommandRun, NameTarget, PlanTarget
from provisioner.commands.up import performed
from provisioner.guest.domain import FileCopy, Overlay
from provisioner.host.guest import console_log, host_keys
from provisioner.host.network import nftables as nft
from provisioner.host.network import reservations
from provisioner.host.storage.disks import DiskDriver
from provisioner.host.system import paths, plan_folders
from provisioner.network import nftables
from provisioner.network.facts import STOPPED
from provisioner.reconcile import partial
from provisioner.reconcile.desired import named
from provisioner.reconcile.diff import Step, diff
from provisioner.reconcile.resources import Look
from provisioner.report.report import KeptDisk, Report
from provisioner.resource import Resource, Resources
from provisioner.text import one_line


def down(target: PlanTarget | NameTarget, run: CommandRun) -> Report:
    """Take away everything that vmnet made for the plan; doing it twice changes nothing."""
    with begun(target, run) as session:
        return taken_away(session)


def taken_away(session: HostSession) -> Report:
    """Take away everything of the plan whose lock is held, but what is to be kept."""
    target, run = session.target, session.run
    reservations.forget(target.name)  # of an up that was killed
    gone = meant(session, run.only) if run.only else set()
    steps = _steps(target, session.snapshot.resources, run, gone)
    # By these logs, which go with the plan's folder, the report would call them stopped still.
    for vm in (x.vm for x in session.snapshot.facts.live if x.state == STOPPED):
        if not gone or vm in gone:
            console_log.remove(paths.folder(target.name, "console") / f"{vm}.log")
    outcome = performed(session, steps, {})
    for family, name in session.snapshot.facts.firewall.namesakes:
        if name.startswith(nftables.prefix(target.name)):
            table = f"the nftables table {one_line(name)} ({family})"
            run.tell(f"left alone: {table} is not vmnet's")
    if not gone and not session.snapshot.facts.user:
        for version in session.worker.do(nft.put_back, target.name):
            run.tell(f"IPv{version} is forwarded no more, as before the plan: its rules were gone")
    left = _steps(target, session.look().resources, run, gone)
    _forget(session, gone)
    return reported(session, outcome, left)


def _steps(
    target: PlanTarget | NameTarget, found: Resources, run: CommandRun, gone: AbstractSet[str]
) -> list[Step]:
    """Return what there is to do, for the VMs in `gone`, or all when it is empty."""
    found = _without(found, run.doomed, gone)
    if isinstance(target, PlanTarget):
        found = named(target.plan, found)
    return diff(partial.without(found, gone) if gone else {}, found)


def _forget(session: HostSession, gone: AbstractSet[str]) -> None:
    """Remove the logs and host keys of VMs that have gone, which no step is about."""
    home, there = paths.home(session.target.name), session.snapshot.resources.values()
    keys = home / "keys"
    for vm in gone - {domain.vm for domain in session.domains}:
        console_log.remove(home / "console" / f"{vm}.log")
        if not any(isinstance(r, Overlay) and r.vm == vm and r.stays for r in there):
            host_keys.remove(keys, vm)
    if gone and keys.is_dir():
        host_keys.publish(keys, session.target.name)


def written_disks(plan: str) -> list[KeptDisk]:
    """Return the disks of a plan that guests have written to, whether they are kept or not."""
    if not plan_folders.is_marked(paths.home(plan), plan):
        return []
    return [
        KeptDisk(disk.vm, disk.path, disk.image, disk.size, disk.taken)
        for disk in DiskDriver().observe(Look(plan))
        if disk.is_written
    ]


def _without(found: Resources, doomed: frozenset[str] | None, gone: AbstractSet[str]) -> Resources:
    """Return what is there, with nothing to be kept of the disks in `doomed`: None means all.

    Only those of VMs in `gone` are meant, if there are any.
    """
    goes = {
        r.path
        for r in found.values()
        if isinstance(r, Overlay) and (doomed is None or r.path in doomed)
        if not gone or r.vm in gone
    }
    staying = {
        r.vm for r in found.values() if isinstance(r, Overlay) and r.stays and r.path not in goes
    }

    def now(r: Resource) -> Resource:
        if isinstance(r, Overlay) and r.path in goes:
            return replace(r, keep=False)
        vm = r.path.rpartition("/")[2].removesuffix(".nvram") if isinstance(r, FileCopy) else ""
        return replace(r, keep=vm in staying) if isinstance(r, FileCopy) else r

    return {k: now(r) for k, r in found.items()}
