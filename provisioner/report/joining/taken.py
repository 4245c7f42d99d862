"""The report of another host as one of ours: its judgements are taken over, its name is added."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from provisioner.check.isolation import Lack
from provisioner.check.loss import Loss
from provisioner.check.result import Finding, Result, Vantage
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.network.facts import Chosen
from provisioner.plan.checks import HOST, PING, Check, CheckSpec, line
from provisioner.plan.scalars import BadValue
from provisioner.reachability.pairs import Expected, Pair
from provisioner.reconcile.diff import Verb
from provisioner.report.joining.told import ToldFinding, ToldReport, ToldResult, ToldVm
from provisioner.report.matrix import NOT_SHOWN
from provisioner.report.report import (
    Failure,
    ImageStatus,
    KeptDisk,
    NetworkStatus,
    NicStatus,
    Report,
    ReportStep,
    StepState,
    StepThing,
    VmStatus,
)
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.ip import Address

_SILENT: Final = frozenset({"no answer", NOT_SHOWN})

Labels = Mapping[tuple[str, str], tuple[str, int]]
"""Which VM's NIC has an address: by network and address, where that VM has several NICs there."""


@dataclass(frozen=True, slots=True)
class TakenResult(Result):
    """A result that another host has judged: nothing of it is judged anew."""

    judged_met: bool = False
    judged: str = ""  # what was observed, in a few words
    lines: tuple[str, ...] = ()  # what was seen around a silence

    @property
    def met(self) -> bool:
        """Whether that host says that the expectation was met."""
        return self.judged_met

    @property
    def observed(self) -> str:
        """What that host has observed."""
        return self.judged

    @property
    def refused(self) -> bool:
        """Whether the target answered, but not with what was asked for."""
        return self.reached is False and self.judged not in _SILENT

    @property
    def not_shown(self) -> Lack | None:
        """Whether the silence was not shown to be isolation; why stands in the finding."""
        if self.judged != NOT_SHOWN:
            return None
        return Lack(self.note, "look at its host: vmnet check")

    @property
    def around(self) -> tuple[str, ...]:
        """What was seen around a silence that is expected, a line each."""
        return self.lines


def report(told: ToldReport, plan: str, host: str, labels: Labels) -> Report:
    """Return the report of a host; each line and each command to type says which host is meant.

    Raises ValueError when it says what no report says.
    """
    done, left = _steps(told, host, StepState.DONE), _steps(told, host, StepState.TO_DO)
    failed = [
        Failure(step, VmnetError(f"{host}: {one.what}", fix=_there(host, one.fix)))
        for one, step in zip(told.failed, _steps(told, host, StepState.FAILED), strict=True)
    ]
    names = {vm.name for vm in told.vms}
    return Report(
        told.command,
        plan,
        Exit(told.status),
        {f"{of} on {host}": Chosen(one.value, one.why) for of, one in told.chosen.items()},
        tuple(f"{host}: {text}" for text in told.warnings),
        done,
        left,
        tuple(failed),
        tuple(_result(one, host, names, labels) for one in told.results),
        tuple(_finding(one, host) for one in told.findings),
        tuple(_vm(vm, host) for vm in told.vms),
        tuple(
            NetworkStatus(
                n.name, n.kind, n.uplink, n.vlan, n.mode, n.addressing, n.subnets, n.gateways
            )
            for n in told.networks
        ),
        tuple(ImageStatus(one.name, one.disk, one.vms) for one in told.images),
        tuple(
            KeptDisk(d.vm, f"{host}:{d.path}", d.image, d.virtual_bytes, d.host_bytes)
            for d in told.disks
        ),
        consoles=tuple(told.consoles.items()),
        seconds=told.seconds,
        until=told.until or 0,
    )


def errors(told: ToldReport, host: str) -> list[VmnetError]:
    """Return what stopped a command on a host."""
    return [
        VmnetError(
            f"{host}: {one.what}{f' ({one.where})' if one.where else ''}",
            fix=_there(host, one.fix),
            status=Exit(told.status),
        )
        for one in told.errors
    ]


def _there(host: str, fix: str | None) -> str | None:
    return f"on {host}: {fix}" if fix else None


def _steps(told: ToldReport, host: str, state: StepState) -> tuple[ReportStep, ...]:
    lines = {
        StepState.DONE: told.done,
        StepState.TO_DO: told.to_do,
        StepState.FAILED: tuple(one.step for one in told.failed),
    }[state]
    things: dict[int, list[StepThing]] = {}
    about: dict[int, tuple[Verb, str]] = {}
    for step in told.steps:
        if step.state == state:
            things.setdefault(step.line, []).append(StepThing(step.kind, step.name, step.vm or ""))
            about[step.line] = Verb(step.action), step.cause
    if set(things) != set(range(len(lines))):
        raise ValueError(f"its steps are not those of its lines: {state}")
    return tuple(
        ReportStep(about[at][0], tuple(things[at]), about[at][1], f"{host}: {text}")
        for at, text in enumerate(lines)
    )


def _finding(told: ToldFinding, host: str) -> Finding:
    fix = _there(host, told.fix) or ""
    return Finding(f"{host}: {told.what}", fix, told.evidence, told.about)


def _vm(told: ToldVm, host: str) -> VmStatus:
    nics = tuple(
        NicStatus(n.name, n.network, n.uplink, n.mode, n.mac, n.device, n.tap, n.addresses)
        for n in told.nics
    )
    return VmStatus(
        told.name,
        told.state,
        told.pid,
        told.addresses,
        told.taps,
        nics=nics,
        image=told.image or "",
        host=host,
    )


def _result(told: ToldResult, host: str, vms: Iterable[str], labels: Labels) -> Result:
    address = ip_address(told.address) if told.address else None
    source, source_nic = _end(told.source, host, vms)
    target, nic = _end(told.target, host, vms)
    if nic is None and target not in vms:
        target, nic = labels.get((told.network, told.address), (target, None))
    pair = Pair(
        told.network,
        source,
        target,
        Expected(told.expected),
        told.why,
        (address,) if address else (),
        nic or 0,
        source_nic or 0,
        _asked(told.asked),
        source_shares=source_nic is not None,
        target_shares=nic is not None,
    )
    return _judged(told, host, pair, address)


def _judged(told: ToldResult, host: str, pair: Pair, address: "Address | None") -> TakenResult:
    through = told.reached is True and not told.as_expected
    wrong = told.observed if through and not told.observed.startswith("reaches") else ""
    return TakenResult(
        pair,
        address,
        told.reached,
        None if told.milliseconds is None else told.milliseconds / 1000,
        told.note,
        Vantage(told.by) if told.by else None,
        told.tries,
        Loss(told.loss.sent, told.loss.lost) if told.loss else None,
        vanished=int(wrong.startswith("packets of")),
        wrong=wrong,
        finding=_finding(told.finding, host) if told.finding else None,
        judged_met=told.as_expected,
        judged=told.observed,
        lines=told.control,
    )


def _end(label: str, host: str, vms: Iterable[str]) -> tuple[str, int | None]:
    """Return who is meant, and which NIC where that is said; the host itself by its name."""
    if label == HOST:
        return host, None
    vm, _, number = label.rpartition(".")
    if vm in vms and number.isascii() and number.isdecimal():
        return vm, int(number)
    return label, None


def _asked(text: str) -> CheckSpec:
    if text == str(PING):
        return PING
    try:
        read = line(f"a -> b {text}")
    except BadValue as bad:
        raise ValueError(f"{one_line(text, 60)} cannot be asked: {bad.what}") from None
    return read.asked if isinstance(read, Check) else PING
