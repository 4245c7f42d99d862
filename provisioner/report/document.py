"""A report, or the errors instead of one, as JSON: its types are the schema of what is written."""

from collections.abc import Sequence
from typing import Annotated, NotRequired, TypedDict

from provisioner.check.result import Finding, Result, Vantage
from provisioner.distribution import HERE
from provisioner.errors import Exit, VmnetError
from provisioner.guest.agent_info import GuestDisk, GuestInfo
from provisioner.json_document import json_document
from provisioner.reachability.pairs import Expected
from provisioner.reconcile.diff import Verb
from provisioner.report.report import (
    ImageStatus,
    KeptDisk,
    NetworkStatus,
    NicStatus,
    Report,
    ReportOrigin,
    StepState,
    VmStatus,
)


class ChosenValue(TypedDict):
    """Something that was chosen automatically, and why."""

    value: str
    why: str


class StepValue(TypedDict):
    """One step: something that is made, changed or taken away."""

    action: Verb
    kind: Annotated[str, "What it is: macvtap, domain, disk, guard, switch …"]
    name: Annotated[str, "Its name or path on this host; with kind it tells it from all others."]
    vm: Annotated[str | None, "The VM that it is of; null for what is of a network."]
    cause: str
    state: StepState
    line: Annotated[int, "Which of the lines of done, to_do or failed it stands in, from 0."]


class FailureValue(TypedDict):
    """A step that did not work, and how to fix it."""

    step: str
    what: str
    fix: str | None


class AgentNicValue(TypedDict):
    """A NIC as its guest sees it."""

    name: str
    mac: str
    addresses: Sequence[str]


class GuestValue(TypedDict):
    """The guest's own words, with status --wide: bounded and harmless, not true."""

    hostname: str
    os: str
    kernel: str
    load: Annotated[Sequence[float], "Over 1, 5 and 15 minutes."]
    nics: list[AgentNicValue]
    disks: Sequence[GuestDisk]
    users: Sequence[str]
    problem: Annotated[str, "Why it reported nothing, or not all."]


class WallsValue(TypedDict):
    """What a QEMU stands behind, with status --wide."""

    has: Sequence[str]
    lacks: Sequence[str]


class VmValue(TypedDict):
    """One VM of the plan, as it is."""

    name: str
    state: str
    pid: Annotated[int, "Of its QEMU; 0 for none."]
    image: Annotated[str | None, "What the plan calls its image; null where that is not known."]
    addresses: Annotated[Sequence[str], "Of all its NICs, as the plan has them."]
    taps: Annotated[Sequence[str], "The character devices of its macvtaps."]
    nics: Sequence[NicStatus]
    host: NotRequired[Annotated[str, "That runs it, where the plan has several hosts."]]
    guest: NotRequired[GuestValue]
    walls: NotRequired[WallsValue]


class DiskValue(TypedDict):
    """A kept disk that no guest of the plan has now, with what a guest has written."""

    vm: str
    path: str
    image: str
    virtual_bytes: int
    host_bytes: int


class LossValue(TypedDict):
    """Pings that were counted."""

    sent: int
    lost: int


class FindingValue(TypedDict):
    """A cause of failures, and what it rests on."""

    what: str
    fix: str
    about: Annotated[str, 'The VM that it is about; "" for none.']
    evidence: Sequence[str]


_Ends = TypedDict(
    "_Ends",
    {
        "from": Annotated[
            str, "A VM, VM.NUMBER where it has several NICs on the network, or host."
        ],
        "to": Annotated[str, "As from; or gateway, an address, a name of hosts."],
    },
)


class ResultValue(_Ends):
    """One measurement: what was asked of a pair, and what was seen."""

    network: str
    address: str
    expected: Expected
    why: str
    observed: str
    as_expected: bool
    reached: Annotated[bool | None, "Whether it came through; null: it could not be measured."]
    milliseconds: float | None
    note: str
    asked: Annotated[str, "ping, or a check of the plan such as tcp/22."]
    by: Annotated[Vantage | None, "Where it was measured from."]
    tries: int
    loss: Annotated[LossValue | None, "Of the pings that were counted; null where none were."]
    control: Annotated[
        Sequence[str], "What was seen around a silence that is expected: whether it is isolation."
    ]
    finding: FindingValue | None


class ReportDocument(TypedDict):
    """The report of a command: what it found, did and measured."""

    plan: str
    summary: str
    chosen: Annotated[dict[str, ChosenValue], "By what it was chosen for."]
    warnings: Sequence[str]
    steps: Annotated[list[StepValue], "What was done, what has failed, what is left to do."]
    done: Annotated[list[str], "The steps that were done, as lines for people."]
    to_do: Annotated[list[str], "The steps that are left, as lines for people."]
    failed: list[FailureValue]
    vms: list[VmValue]
    networks: Sequence[NetworkStatus]
    images: Sequence[ImageStatus]
    disks: list[DiskValue]
    results: list[ResultValue]
    findings: Annotated[list[FindingValue], "Those that concern no single pair."]
    consoles: Annotated[dict[str, str], "The last lines of the consoles of VMs that failed."]
    seconds: float
    until: Annotated[int | None, "The plan is up, in seconds since 1970; null: without an end."]
    origin: ReportOrigin | None


class ErrorValue(TypedDict):
    """What stopped a command."""

    what: str
    where: Annotated[str | None, "FILE:LINE:COLUMN of a plan."]
    fix: str | None


class ErrorsDocument(TypedDict):
    """What stopped a command before it had anything else to write."""

    errors: list[ErrorValue]


class ValidPlan(TypedDict):
    """A plan that is valid, and how many VMs and networks it has."""

    file: str
    plan: str
    vms: int
    networks: int


class ValidateDocument(TypedDict):
    """The plans that are valid, and what is wrong with the others."""

    plans: list[ValidPlan]
    errors: list[ErrorValue]


def as_json(report: Report) -> str:
    """Format a report as JSON."""
    return json_document(report.command, report.status, _document(report))


def _document(report: Report) -> ReportDocument:
    return ReportDocument(
        plan=report.plan,
        summary=report.summary,
        chosen={of: ChosenValue(value=one.what, why=one.why) for of, one in report.chosen.items()},
        warnings=report.warnings,
        steps=_steps(report),
        done=list(map(str, report.done)),
        to_do=list(map(str, report.to_do)),
        failed=[
            FailureValue(step=str(f.step), what=f.error.what, fix=_fix(f.error))
            for f in report.failed
        ],
        vms=[_vm(vm) for vm in report.vms],
        networks=report.networks,
        images=report.images,
        disks=[_disk(disk) for disk in report.disks],
        results=[_result(r) for r in report.results],
        findings=[_finding(f) for f in report.findings],
        consoles=dict(report.consoles),
        seconds=round(report.seconds, 3),
        until=report.until or None,
        origin=report.origin,
    )


def errors_as_json(command: str, errors: Sequence[VmnetError], status: Exit) -> str:
    """Format what stopped a command before it had a report, in the same envelope."""
    return json_document(command, status, ErrorsDocument(errors=errors_as_data(errors)))


def errors_as_data(errors: Sequence[VmnetError]) -> list[ErrorValue]:
    """Return what JSON has of errors."""
    return [
        ErrorValue(what=e.what, where=str(e.where) if e.where else None, fix=_fix(e))
        for e in errors
    ]


def _fix(error: VmnetError) -> str | None:
    return HERE.spoken(error.fix) if error.fix else None


def _steps(report: Report) -> list[StepValue]:
    every = [
        *((at, step, StepState.DONE) for at, step in enumerate(report.done)),
        *((at, failure.step, StepState.FAILED) for at, failure in enumerate(report.failed)),
        *((at, step, StepState.TO_DO) for at, step in enumerate(report.to_do)),
    ]
    return [
        StepValue(
            action=step.action,
            kind=thing.kind,
            name=thing.name,
            vm=thing.vm or None,
            cause=step.cause,
            state=state,
            line=at,
        )
        for at, step, state in every
        for thing in step.things
    ]


def _vm(vm: VmStatus) -> VmValue:
    value = VmValue(
        name=vm.name,
        state=vm.state,
        pid=vm.pid,
        image=vm.image or None,
        addresses=vm.addresses,
        taps=vm.taps,
        nics=vm.nics,
    )
    if vm.host:
        value["host"] = vm.host
    if vm.guest:
        value["guest"] = _guest(vm.guest)
    if vm.walls:
        value["walls"] = WallsValue(has=vm.walls.has, lacks=vm.walls.lacks)
    return value


def _guest(info: GuestInfo) -> GuestValue:
    return GuestValue(
        hostname=info.hostname,
        os=info.os,
        kernel=info.kernel,
        load=info.load,
        nics=[AgentNicValue(name=n.name, mac=n.mac, addresses=n.addresses) for n in info.nics],
        disks=info.disks,
        users=info.users,
        problem=info.problem,
    )


def _disk(disk: KeptDisk) -> DiskValue:
    return DiskValue(
        vm=disk.vm,
        path=disk.path,
        image=disk.image,
        virtual_bytes=disk.size,
        host_bytes=disk.taken,
    )


def _result(r: Result) -> ResultValue:
    return {
        "network": r.pair.network,
        "from": r.pair.source_label,
        "to": r.pair.target_label,
        "address": str(r.address or ""),
        "expected": r.pair.expected,
        "why": r.pair.why,
        "observed": r.observed,
        "as_expected": r.met,
        "reached": r.reached,
        "milliseconds": None if r.seconds is None else round(r.seconds * 1000, 3),
        "note": r.note,
        "asked": str(r.pair.asked),
        "by": r.by or None,
        "tries": r.tries,
        "loss": {"sent": r.loss.sent, "lost": r.loss.lost} if r.loss else None,
        "control": r.around,
        "finding": _finding(r.finding) if r.finding else None,
    }


def _finding(f: Finding) -> FindingValue:
    return FindingValue(what=f.what, fix=f.fix, about=f.about, evidence=f.evidence)
