"""snapshot save, restore, ls and rm of a plan of several hosts: each host keeps its own guests'.

The guests of one host are of one moment. Those of several are not: nobody can pause two hosts at
once, so how far they are apart is told.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from provisioner.commands.fabric.fleet import FleetRun, FleetSession, begun, locked, together
from provisioner.commands.fabric.several import measured
from provisioner.commands.snapshot.listing import (
    SavedOnHostsDocument,
    SnapshotValue,
)
from provisioner.commands.target import PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, refuse
from provisioner.fabric.facts import Silent
from provisioner.fabric.parts.part import fleet_nics
from provisioner.fabric.placing import found_in, listed
from provisioner.fabric.remote.answers import HostAnswer, Request
from provisioner.guest import snapshot
from provisioner.plan.placing.carriers import carriers
from provisioner.report.joining import taken, told, told_snapshots
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.report.report import Report

_COMMAND = "snapshot"
_SAVED, _LISTED = "snapshot save", "snapshot ls"


@dataclass(frozen=True, slots=True)
class HostSnapshots:
    """The snapshots of a plan on a host."""

    host: str
    snapshots: Sequence[Mapping[str, Any]]  # of a SnapshotsDocument

    @property
    def names(self) -> set[str]:
        """The names of those snapshots."""
        return {one["name"] for one in self.snapshots}


@dataclass(frozen=True, slots=True)
class HostError:
    """A host whose snapshots are not known, and why."""

    host: str
    error: VmnetError


@dataclass(frozen=True, slots=True)
class HostSaved:
    """What a host has saved."""

    host: str
    snapshot: SnapshotValue
    paused_s: float


def save(target: PlanTarget, run: FleetRun, name: str) -> list[HostSaved]:
    """Save guests on their hosts: on all of them, or on none.

    Raises Complaints when a host cannot; what others have saved by then is removed.
    """
    snapshot.checked_name(name)
    with begun(target, run, "snapshot save") as session:
        meant = _running(session)
        run.tell(f"saving on {together([*meant])}")
        words = {host: (_COMMAND, "save", name, *vms) for host, vms in meant.items()}
        saved: list[HostSaved] = []
        errors: list[VmnetError] = []
        for host, answer in run.ask(_with_part(session, words)).items():
            document, wrong = _document(answer, host, _SAVED)
            errors += wrong
            if document:
                saved.append(HostSaved(host, document["snapshot"], document["paused_s"]))
        if errors:
            _undo(session, name, [one.host for one in saved])
        refuse(errors)
    return saved


def saved_document(saved: Sequence[HostSaved]) -> SavedOnHostsDocument:
    """Return what hosts have saved as one document."""
    return SavedOnHostsDocument(
        snapshots=[{**one.snapshot, "host": one.host} for one in saved],
        paused_s=max((one.paused_s for one in saved), default=0.0),
    )


def restore(target: PlanTarget, run: FleetRun, name: str) -> "Report":
    """Put guests back to a snapshot on all its hosts, then measure on all of them.

    Raises Complaints, before anything is touched, when a host is silent or does not have its part.
    """
    snapshot.checked_name(name)
    with begun(target, run, "snapshot restore") as session:
        _refuse_silent(session, f"what it has of snapshot {name} is not known")
        kept = _kept(session, name)
        _set_homes(session, kept, name)
        run.tell(f"restoring on {together([*kept])}")
        words = {
            host: (_COMMAND, "restore", name, *vms, "--yes", "--no-check", *run.words)
            for host, vms in kept.items()
        }
        restored = session.asked(_COMMAND, _with_part(session, words))
        return measured(session, _COMMAND, restored)


def every(target: PlanTarget, run: FleetRun) -> tuple[list[HostSnapshots], list[HostError]]:
    """Return the snapshots of a plan, host by host, and why those of other hosts are not known."""
    return _every(target, run, carriers(target.plan))


def remove(target: PlanTarget, run: FleetRun, names: Sequence[str]) -> None:
    """Remove snapshots from all hosts that have them, and tell of each.

    Raises Complaints when one is nowhere, or a host cannot, or, before anything is removed, does
    not answer.
    """
    with locked(target.name, run, "snapshot rm"):
        there, silent = every(target, run)
        refuse([one.error for one in silent])
        errors: list[VmnetError] = []
        names = list(dict.fromkeys(names))
        having = {host.host: [n for n in names if n in host.names] for host in there}
        errors += [_unknown(n) for n in names if not any(n in x for x in having.values())]
        refuse(errors)
        words = (_COMMAND, "rm", "--yes", "--name", target.name, *run.waiting)
        calls = {host: Request((*words, *some)) for host, some in having.items() if some}
        lines = []
        for host, answer in run.ask(calls).items():
            if isinstance(answer, HostAnswer) and answer.status == Exit.DONE:
                lines += [f"{host}: {name} is gone" for name in having[host]]
            else:
                why = answer.why if isinstance(answer, Silent) else answer.stderr.partition("\n")[0]
                fix = f"look at it there: on {host}, vmnet snapshot ls"
                errors.append(VmnetError(f"{host}: {one_line(why)}", fix=fix))
        for line in lines:
            run.tell(line)
        refuse(errors)


def _running(session: FleetSession) -> dict[str, tuple[str, ...]]:
    """Return the VMs that are saved by host. Raises VmnetError when one does not run."""
    homes = found_in(session.target.name, session.fleet)
    vms = [vm.name for vm in session.target.plan.vms]
    wanted = [vm for vm in vms if not session.run.only or vm in session.run.only]
    at = {vm: home.host for vm in wanted for home in homes.get(vm, ()) if home.runs}
    missing = [vm for vm in wanted if vm not in at]
    if missing:
        _refuse_silent(session, f"whether it runs {listed(missing)} is not known")
        raise VmnetError(
            f"{listed(missing)} of the plan {'is' if len(missing) == 1 else 'are'} not up: there "
            "is no memory to save",
            fix="bring it up first (vmnet up), or name the VMs that are: "
            "vmnet snapshot save NAME VM",
        )
    session.homes |= at
    return {h: tuple(vm for vm in at if at[vm] == h) for h in dict.fromkeys(at.values())}


def _with_part(session: FleetSession, words: Mapping[str, tuple[str, ...]]) -> dict[str, Request]:
    more = ("--file", "-", "--json", *session.run.waiting)
    return {h: Request((*each, *more), session.part(h).text) for h, each in words.items()}


def _undo(session: FleetSession, name: str, hosts: Collection[str]) -> None:
    """Remove what some hosts have saved, since others could not."""
    if not hosts:
        return
    session.run.tell(f"removing it again on {together([*hosts])}: not all hosts could save")
    words = (_COMMAND, "rm", name, "--yes", "--name", session.target.name)
    for host, answer in session.run.ask(dict.fromkeys(hosts, Request(words))).items():
        if isinstance(answer, Silent) or answer.status:
            session.run.tell(f"warning: {host} keeps its part: on {host}, vmnet snapshot rm {name}")


def _kept(session: FleetSession, name: str) -> dict[str, tuple[str, ...]]:
    """Return the VMs that are restored by the host that has them in the snapshot."""
    there, silent = _every(session.target, session.run, session.answering)
    refuse([one.error for one in silent])
    kept: dict[str, tuple[str, ...]] = {}
    for host in there:
        for one in host.snapshots:
            if one["name"] == name and "vms" in one:
                vms = [vm["name"] for vm in one["vms"]]
                kept[host.host] = tuple(
                    vm for vm in vms if not session.run.only or vm in session.run.only
                )
    lacking = session.run.only - {vm for vms in kept.values() for vm in vms}
    if not kept or lacking:
        raise _unknown(name, lacking)
    return {host: vms for host, vms in kept.items() if vms}


def _set_homes(session: FleetSession, kept: Mapping[str, Sequence[str]], name: str) -> None:
    """Place each VM on the host that has it in the snapshot.

    Raises VmnetError when another host has it now.
    """
    plan = session.target.plan
    homes = found_in(plan.name, session.fleet)
    for host, vms in kept.items():
        for vm in vms:
            others = [home.host for home in homes.get(vm, ()) if home.host != host]
            if others:
                raise VmnetError(
                    f"VM {vm} is on {listed(others)}, and the snapshot {name} of it on {host}",
                    fix=f"take it away from there first: vmnet down {vm}",
                    status=Exit.CONFLICT,
                )
            session.homes[vm] = host
    session.nics = fleet_nics(plan, session.fleet, session.homes)


def _every(
    target: PlanTarget, run: FleetRun, hosts: Collection[str]
) -> tuple[list[HostSnapshots], list[HostError]]:
    words = (_COMMAND, "ls", "--name", target.name, "--json")
    found: list[HostSnapshots] = []
    errors: list[HostError] = []
    for host, answer in run.ask(dict.fromkeys(hosts, Request(words))).items():
        document, wrong = _document(answer, host, _LISTED)
        errors += [HostError(host, error) for error in wrong]
        if document:
            found.append(HostSnapshots(host, document["snapshots"]))
    return found, errors


def _document(
    answer: HostAnswer | Silent, host: str, command: str
) -> tuple[Mapping[str, Any], list[VmnetError]]:
    """Return what a host has answered; nothing, and why, where it has not done it."""
    if isinstance(answer, Silent):
        what = f"{host} does not answer: {answer.why}"
        fix = f"bring {host} back, then see what there is: vmnet snapshot ls"
        return {}, [VmnetError(what, fix=fix, status=Exit.HOST_CANNOT)]
    found = answer.document or {}
    of = _COMMAND if found.get("command") == _COMMAND else command  # of errors, or of what is done
    try:
        if not answer.status and found.get("command") == command:
            read = told_snapshots.saved if command == _SAVED else told_snapshots.snapshots
            return asdict(read(answer.stdout)), []
        return {}, taken.errors(told.read(answer.stdout, host, of), host) or [_unusable(host)]
    except VmnetError as error:
        return {}, [error]
    except ValueError:
        return {}, [_unusable(host)]


def _unusable(host: str) -> VmnetError:
    return VmnetError(
        f"what {host} says of its snapshots cannot be used",
        fix=f"look at it there: on {host}, vmnet snapshot ls",
    )


def _unknown(name: str, vms: Collection[str] = ()) -> VmnetError:
    of = f" of {listed(sorted(vms))}" if vms else ""
    return VmnetError(
        f"no host of the plan has a snapshot {name}{of}",
        fix="see which there are: vmnet snapshot ls",
        status=Exit.BAD_INPUT,
    )


def _refuse_silent(session: FleetSession, so: str) -> None:
    """Raise VmnetError when a host does not answer."""
    for host, why in session.lost.items():
        raise VmnetError(
            f"{host} does not answer ({one_line(why)}): {so}",
            fix=f"bring {host} back, then run the command again",
            status=Exit.HOST_CANNOT,
        )
