"""The JSON report of another host, read: nothing of it is believed beyond its form.

Texts stay as they are: what prints a report makes them harmless, as it does with guests' texts.
"""

from dataclasses import field
from functools import cache
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.json_document import strict
from provisioner.text import one_line

MOST_LENGTH: Final = 256 << 20
"""How many characters the report of a host can have: that of 250 guests has 60,000 results."""


@dataclass(frozen=True, slots=True)
class ToldChosen:
    """Something that was chosen automatically, and why."""

    value: str
    why: str


@dataclass(frozen=True, slots=True)
class ToldStep:
    """A thing that a step is about; `line` is the number of the step among those of its state."""

    action: str
    kind: str
    name: str
    cause: str
    state: str
    vm: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class ToldFailure:
    """A step that did not work."""

    step: str
    what: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class ToldNic:
    """A NIC of a VM, and the device behind it."""

    name: str
    network: str | None
    uplink: str | None
    mode: str | None
    mac: str | None
    device: str
    tap: str | None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToldVm:
    """One VM, as it is."""

    name: str
    state: str
    pid: int = 0
    image: str | None = None
    addresses: tuple[str, ...] = ()
    taps: tuple[str, ...] = ()
    nics: tuple[ToldNic, ...] = ()


@dataclass(frozen=True, slots=True)
class ToldNetwork:
    """A network of the plan, and the device that it stands on."""

    name: str
    kind: str
    uplink: str
    vlan: int | None
    mode: str
    addressing: str
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToldImage:
    """An image that VMs boot from."""

    name: str
    disk: str | None
    vms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToldDisk:
    """A kept disk."""

    vm: str
    path: str
    image: str
    virtual_bytes: int
    host_bytes: int


@dataclass(frozen=True, slots=True)
class ToldFinding:
    """A cause of failures."""

    what: str
    fix: str
    about: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToldLoss:
    """Pings that were counted."""

    sent: int
    lost: int


@dataclass(frozen=True, slots=True)
class ToldResult:
    """One measurement, with the judgement of the host that made it."""

    network: str
    source: Annotated[str, Field(alias="from")]
    target: Annotated[str, Field(alias="to")]
    address: str
    expected: str
    why: str
    observed: str
    as_expected: bool
    reached: bool | None
    milliseconds: float | None = None
    note: str = ""
    asked: str = "ping"
    by: str | None = None
    tries: int = 1
    loss: ToldLoss | None = None
    control: tuple[str, ...] = ()
    finding: ToldFinding | None = None


@dataclass(frozen=True, slots=True)
class ToldError:
    """What stopped a command before it had a report."""

    what: str
    where: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class ToldReport:
    """The report of a host; `errors` in place of all else when the command was stopped."""

    command: str
    status: int
    errors: tuple[ToldError, ...] = ()
    summary: str = ""
    chosen: dict[str, ToldChosen] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    steps: tuple[ToldStep, ...] = ()
    done: tuple[str, ...] = ()
    to_do: tuple[str, ...] = ()
    failed: tuple[ToldFailure, ...] = ()
    vms: tuple[ToldVm, ...] = ()
    networks: tuple[ToldNetwork, ...] = ()
    images: tuple[ToldImage, ...] = ()
    disks: tuple[ToldDisk, ...] = ()
    results: tuple[ToldResult, ...] = ()
    findings: tuple[ToldFinding, ...] = ()
    consoles: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    until: int | None = None


def read(text: str, host: str, command: str) -> ToldReport:
    """Read what a host has printed for a command with --json; unknown keys are passed over.

    Raises VmnetError, status HOST_CANNOT, when it is no report of that command.
    """
    if len(text) > MOST_LENGTH:
        raise _unusable(host, command, f"it is longer than {MOST_LENGTH} characters")
    try:
        found = strict(text)
    except (ValueError, RecursionError) as error:
        raise _unusable(host, command, f"it is not JSON: {one_line(str(error), 80)}") from None
    if not isinstance(found, dict) or found.get("command") != command:
        raise _unusable(host, command, f"it is no document of vmnet {command}")
    try:
        told = _adapter().validate_json(text, strict=True)
    except ValueError as error:
        raise _unusable(host, command, _place(error)) from None
    if told.status not in {*Exit}:
        raise _unusable(host, command, f"{told.status} is no exit status of it")
    return told


def _unusable(host: str, command: str, why: str) -> VmnetError:
    return VmnetError(
        f"the report of host {one_line(host)} cannot be used: {why}",
        fix=f"look at what it prints there: vmnet {command} --json",
        status=Exit.HOST_CANNOT,
    )


@cache
def _adapter() -> TypeAdapter[ToldReport]:
    return TypeAdapter(ToldReport)


def _place(error: ValueError) -> str:
    first: dict[str, Any] = getattr(error, "errors", lambda: [{}])()[0]
    place = [".".join(map(str, first["loc"]))] if first.get("loc") else []
    return one_line(": ".join([*place, str(first.get("msg", error))]), 120)
