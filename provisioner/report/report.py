"""What a command found and did: one value, shown as text or as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field

from provisioner.check import isolation
from provisioner.check.result import Finding, Result
from provisioner.dataclass import dataclass
from provisioner.distribution import HERE
from provisioner.errors import Exit, VmnetError
from provisioner.guest.agent_info import GuestInfo
from provisioner.guest.jail.walls import Walls
from provisioner.image.listing import size
from provisioner.json_document import json_document
from provisioner.network.facts import Chosen
from provisioner.plan.checks import PING
from provisioner.report import cells


@dataclass(frozen=True, slots=True)
class VmStatus:
    """One VM of the plan, as it is."""

    name: str
    state: str
    pid: int = 0
    addresses: tuple[str, ...] = ()
    taps: tuple[str, ...] = ()  # /dev/tap<ifindex>
    guest: GuestInfo | None = None  # its own report, when it was asked for one
    walls: Walls | None = None  # that its QEMU stands behind, when they were asked for


@dataclass(frozen=True, slots=True)
class KeptDisk:
    """A disk with what a guest has written, which stays though no guest has it now."""

    vm: str
    path: str
    image: str  # what the plan called the image below it; "" for none
    size: int  # in bytes, of the disk that the guest sees
    taken: int  # of the host's disk

    def __str__(self) -> str:
        """Return a line about it, with its two sizes."""
        name = self.path.rpartition("/")[2]
        sizes = f"{size(self.size)}, {size(self.taken)} of them on this host's disk"
        return f"disk {name} of {self.vm} ({sizes}): {self.path}"


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that did not work: what, and how to fix it."""

    step: str
    error: VmnetError


@dataclass(frozen=True, slots=True)
class ReportOrigin:
    """When a report was made, on which host, of which plan."""

    date: str  # with the offset from UTC
    host: str
    kernel: str
    digest: str = ""  # SHA-256 of the plan's text; "" where there is none
    changed: tuple[str, ...] = ()  # the plan's keys that --set has changed


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one command."""

    command: str
    plan: str
    status: Exit = Exit.DONE
    chosen: Mapping[str, Chosen] = field(default_factory=dict)  # by what it was chosen for
    warnings: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    to_do: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    results: tuple[Result, ...] = ()
    findings: tuple[Finding, ...] = ()  # what concerns no single pair
    vms: tuple[VmStatus, ...] = ()
    disks: tuple[KeptDisk, ...] = ()
    down: tuple[str, ...] = ()  # the VMs whose guests are not up, as a check has found
    consoles: tuple[tuple[str, str], ...] = ()  # of VMs that failed: name, last lines
    seconds: float = 0.0
    until: int = 0  # the plan is up, in seconds since 1970; 0 without an expiry
    origin: ReportOrigin | None = None

    @property
    def summary(self) -> str:
        """Return the outcome on one line."""
        broken = sum(not r.met for r in self.results)
        count = f"{len(self.results)} measurements"
        if self.failed:
            return (
                f"{_steps(len(self.failed))} failed, {len(self.done)} done, "
                f"{len(self.to_do)} left to do"
            )
        match self.status:
            case Exit.CHECK_FAILED if broken:
                return f"{broken} of {count} are not as expected"
            case Exit.CHECK_FAILED:
                return _not_well(self)
            case Exit.PARTLY_DONE:
                return f"{_steps(len(self.to_do))} left to do: run it again"
            case _ if self.results:
                return f"all {count} are as expected"
            case _:
                return "done" if self.done else "nothing to do"


def _not_well(report: Report) -> str:
    if report.findings:
        return report.findings[0].what
    return f"{_steps(len(report.to_do))} to do" if report.to_do else "a guest is not up"


def causes(report: Report) -> Iterator[tuple[str, Finding]]:
    """Return each cause of failures once, with all its cells ("a -> b, c; b -> all 11")."""
    found: dict[str, tuple[Finding, list[Result]]] = {}
    for finding in report.findings:
        found.setdefault(finding.what, (finding, []))
    for result in report.results:
        if not result.met:
            finding = result.finding or Finding(f"{result.observed}: {result.note}", "vmnet status")
            found.setdefault(finding.what, (finding, []))[1].append(result)
    for finding, results in found.values():
        yield cells.named(results, report.results), finding


def title(result: Result) -> str:
    """Return what was asked: `a -> b`, and the kind of check if it was not a ping."""
    pair = result.pair
    kind = "" if pair.asked == PING else f" {pair.asked}"
    return f"{pair.source_label} -> {pair.target_label}{kind}"


def control(result: Result) -> tuple[str, ...]:
    """Return what was seen around a silence that is expected, a line each; nothing of others."""
    if not (result.control and result.is_silence):
        return ()
    return isolation.seen(result.pair.source, result.pair.target, result.control)


def as_json(report: Report) -> str:
    """Format a report as JSON."""
    return json_document(
        report.command,
        plan=report.plan,
        status=int(report.status),
        summary=report.summary,
        chosen={of: {"value": one.what, "why": one.why} for of, one in report.chosen.items()},
        warnings=report.warnings,
        done=report.done,
        to_do=report.to_do,
        failed=[
            {"step": f.step, "what": f.error.what, "fix": _fix(f.error)} for f in report.failed
        ],
        vms=[_vm(vm) for vm in report.vms],
        disks=[_disk(disk) for disk in report.disks],
        results=[_result(r) for r in report.results],
        findings=[_finding(f) for f in report.findings],
        consoles=dict(report.consoles),
        seconds=round(report.seconds, 3),
        until=report.until or None,
        origin=asdict(report.origin) if report.origin else None,
    )


def errors_as_json(command: str, errors: Sequence[VmnetError], status: Exit) -> str:
    """Format what stopped a command before it had a report, in the same shape."""
    return json_document(command, status, errors=errors_as_data(errors))


def errors_as_data(errors: Sequence[VmnetError]) -> list[dict[str, str | None]]:
    """Return what JSON has of errors."""
    return [
        {"what": e.what, "where": str(e.where) if e.where else None, "fix": _fix(e)} for e in errors
    ]


def _fix(error: VmnetError) -> str | None:
    return HERE.spoken(error.fix) if error.fix else None


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _vm(vm: VmStatus) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": vm.name,
        "state": vm.state,
        "pid": vm.pid,
        "addresses": list(vm.addresses),
        "taps": list(vm.taps),
    }
    walls = {"has": list(vm.walls.has), "lacks": list(vm.walls.lacks)} if vm.walls else None
    entry |= {"guest": vm.guest.as_json} if vm.guest else {}
    return entry | ({"walls": walls} if walls else {})


def _disk(disk: KeptDisk) -> dict[str, object]:
    return {
        "vm": disk.vm,
        "path": disk.path,
        "image": disk.image,
        "virtual_bytes": disk.size,
        "host_bytes": disk.taken,
    }


def _result(r: Result) -> dict[str, object]:
    return {
        "network": r.pair.network,
        "from": r.pair.source_label,
        "to": r.pair.target_label,
        "address": str(r.address or ""),
        "expected": str(r.pair.expected),
        "why": r.pair.why,
        "observed": r.observed,
        "as_expected": r.met,
        "milliseconds": None if r.seconds is None else round(r.seconds * 1000, 3),
        "note": r.note,
        "asked": str(r.pair.asked),
        "by": str(r.by) if r.by else None,
        "tries": r.tries,
        "loss": {"sent": r.loss.sent, "lost": r.loss.lost} if r.loss else None,
        "control": list(control(r)),
        "finding": _finding(r.finding) if r.finding else None,
    }


def _finding(f: Finding) -> dict[str, object]:
    return {"what": f.what, "fix": f.fix, "about": f.about, "evidence": list(f.evidence)}
