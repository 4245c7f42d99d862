"""What a command found and did: one value, shown as text or as JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum

from provisioner.check.result import Finding, Result
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.guest.agent_info import GuestInfo
from provisioner.guest.jail.walls import Walls
from provisioner.image.listing import size
from provisioner.network.facts import Chosen
from provisioner.plan.checks import PING
from provisioner.reconcile.diff import Verb
from provisioner.report import cells


class StepState(StrEnum):
    """What has become of a step."""

    DONE = "done"
    FAILED = "failed"
    TO_DO = "to do"


@dataclass(frozen=True, slots=True)
class StepThing:
    """A resource that a step is about."""

    kind: str
    name: str  # or path
    vm: str = ""  # that it is of; "" for what is of a network


@dataclass(frozen=True, slots=True)
class ReportStep:
    """A step, as reports tell of it; several things may go in one."""

    action: Verb
    things: tuple[StepThing, ...]
    cause: str
    line: str  # for people

    def __str__(self) -> str:
        """Return the line that people read."""
        return self.line


@dataclass(frozen=True, slots=True)
class NicStatus:
    """A NIC of a VM: what the plan says, and the device that is behind it."""

    name: str  # VM.NETWORK, or VM.NUMBER
    network: str | None  # null where the plan's file was not read
    uplink: str | None  # the device that its macvtap is on
    mode: str | None
    mac: str | None
    device: str  # its macvtap
    tap: str | None  # /dev/tap<ifindex>; null when there is none
    addresses: tuple[str, ...]  # with their prefixes


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """A network of the plan, and the device that it stands on."""

    name: str
    kind: str  # uplink, switch or granted
    uplink: str  # the device that macvtaps are on
    vlan: int | None
    mode: str
    addressing: str
    subnets: tuple[str, ...]
    gateways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """An image that VMs of the plan boot from."""

    name: str
    disk: str | None  # the file below the guests' own disks; null where that is not known, or none
    vms: tuple[str, ...]


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
    nics: tuple[NicStatus, ...] = ()
    image: str = ""  # what the plan calls it; "" where that is not known
    host: str = ""  # that runs it, where the plan has several


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

    step: ReportStep
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
    done: tuple[ReportStep, ...] = ()
    to_do: tuple[ReportStep, ...] = ()
    failed: tuple[Failure, ...] = ()
    results: tuple[Result, ...] = ()
    findings: tuple[Finding, ...] = ()  # what concerns no single pair
    vms: tuple[VmStatus, ...] = ()
    networks: tuple[NetworkStatus, ...] = ()
    images: tuple[ImageStatus, ...] = ()
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
        count = counted(len(self.results), "measurement")
        every, are = ("", "is") if len(self.results) == 1 else ("all ", "are")
        if self.failed:
            return (
                f"{counted(len(self.failed), 'step')} failed, {len(self.done)} done, "
                f"{len(self.to_do)} left to do"
            )
        match self.status:
            case Exit.CHECK_FAILED if broken:
                return f"{broken} of {count} {are} not as expected"
            case Exit.PARTLY_DONE if not self.findings:
                return f"{counted(len(self.to_do), 'step')} left to do: run it again"
            case Exit.CHECK_FAILED | Exit.CONFLICT | Exit.HOST_CANNOT | Exit.PARTLY_DONE:
                return _not_well(self)
            case _ if self.results:
                return f"{every}{count} {are} as expected"
            case _:
                return "done" if self.done else "nothing to do"


def _not_well(report: Report) -> str:
    if report.findings:
        return report.findings[0].what
    return f"{counted(len(report.to_do), 'step')} to do" if report.to_do else "a guest is not up"


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


def counted(count: int, what: str) -> str:
    """Return a number of things in words: 1 step, 2 steps."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
