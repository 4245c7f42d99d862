"""By which signs a guest is ready: what its plan says, else what suits its image."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Final

from provisioner.guest import agent_info
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.image.traits import ImageTraits
    from provisioner.plan.vm import Vm

_SSH: Final = 22
_LISTENS: Final = re.compile(r"^\s*\d+: [0-9A-F]{8,32}:([0-9A-F]{4}) [0-9A-F:]+ 0A ", re.MULTILINE)
_ERRORS: Final = 3  # of cloud-init's that are shown
DISABLED: Final = "disabled"
"""What stands for cloud-init's result in a guest that has switched it off."""


class SignKind(StrEnum):
    """The signs there are, as a plan spells them."""

    STARTED = "started"
    AGENT = "agent"
    ADDRESS = "address"
    SSH = "ssh"
    TCP = "tcp"
    CLOUD_INIT = "cloud-init"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign: `port` goes with ssh and tcp, `line` with command."""

    kind: SignKind
    port: int = 0
    line: str = ""

    def __str__(self) -> str:
        """Return it as a plan has it."""
        match self.kind:
            case SignKind.TCP:
                return f"tcp/{self.port}"
            case SignKind.COMMAND:
                return f"command {one_line(self.line, 60)}"
            case _:
                return str(self.kind)


@dataclass(frozen=True, slots=True)
class SignState:
    """Whether a sign holds; if not, why, and whether it never will (`over`)."""

    ok: bool
    why: str = ""
    over: bool = False


class GuestState(Enum):
    """How far one guest is in a check."""

    AWAITED = auto()
    LEARNING = auto()  # its agent answers; its dynamic addresses are not known yet
    READY = auto()  # its agent answers: it is measured from inside
    NO_AGENT = auto()  # it answers on the wire, its agent does not: measured at its macvtap
    AGENTLESS = auto()  # likewise, and it is not expected to have an agent
    NOT_READY = auto()  # a sign of readiness is missing; nothing else need be wrong
    DOWN = auto()

    @property
    def is_up(self) -> bool:
        """Whether the guest can be measured."""
        return self in {GuestState.READY, GuestState.NO_AGENT, GuestState.AGENTLESS}

    @property
    def is_down(self) -> bool:
        """Whether the guest will not be measured."""
        return self in {GuestState.NOT_READY, GuestState.DOWN}


@dataclass(frozen=True, slots=True)
class GuestReadiness:
    """The state of one guest; `why` it is down, or measured at its macvtap."""

    state: GuestState = GuestState.AWAITED
    why: str = ""


def signs(vm: "Vm", image: "ImageTraits") -> tuple[Sign, ...]:
    """Return what a VM is waited for: what its plan says, else the surest sign of its image."""
    if vm.ready:
        return tuple(dict.fromkeys(map(read, vm.ready)))
    if image.cloud_init and image.agent:
        return (Sign(SignKind.CLOUD_INIT),)
    return (Sign(SignKind.AGENT if image.agent else SignKind.ADDRESS),)


def usual(vm: "Vm", image: "ImageTraits") -> bool:
    """Return whether a VM is waited for as usual: for its agent, or else its answer to ARP/ND."""
    return not vm.ready and signs(vm, image) == (Sign(SignKind.AGENT),)


def read(word: str) -> Sign:
    """Parse a sign that the plan's model has accepted."""
    kind, _, rest = word.partition(" ")
    if kind == SignKind.COMMAND:
        return Sign(SignKind.COMMAND, line=rest)
    if word.startswith("tcp/"):
        return Sign(SignKind.TCP, int(word.removeprefix("tcp/")))
    return Sign(SignKind(word), _SSH if word == SignKind.SSH else 0)


def needs_agent(sign: Sign) -> bool:
    """Return whether nobody but the guest agent can tell that a sign holds."""
    return sign.kind in {SignKind.AGENT, SignKind.CLOUD_INIT, SignKind.COMMAND}


def listens(proc_net_tcp: str, port: int) -> bool:
    """Return whether something listens at a port, by /proc/net/tcp and tcp6."""
    return any(int(one, 16) == port for one in _LISTENS.findall(proc_net_tcp))


def cloud_init(result: str) -> SignState:
    """Judge /run/cloud-init/result.json, which is there when cloud-init has ended; "" when not."""
    if result.strip() == DISABLED:
        return SignState(ok=False, why="it is disabled in the guest", over=True)
    try:
        errors = agent_info.parsed(result)["v1"]["errors"]
    except (ValueError, KeyError, TypeError):
        return SignState(ok=False, why="it has not ended")
    if errors:
        some = errors[:_ERRORS] if isinstance(errors, list) else [errors]
        listed = "; ".join(one_line(str(one)) for one in some)
        return SignState(ok=False, why=f"it ended with errors: {listed}", over=True)
    return SignState(ok=True)


def missing(left: Mapping[Sign, SignState]) -> str:
    """Return which signs do not hold, and why."""
    return "; ".join(
        f"{sign}: {held.why}" if held.why else str(sign) for sign, held in left.items()
    )
