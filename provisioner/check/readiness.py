"""By which signs a guest is ready: what its plan says, else what suits its image."""

import re
from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Final

from provisioner.dataclass import dataclass
from provisioner.guest import agent_info
from provisioner.pattern import pattern
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.image.traits import ImageTraits
    from provisioner.plan.ip import Address
    from provisioner.plan.vm import Vm

NO_AGENT: Final = "its guest agent does not answer"

_SSH: Final = 22
_LISTENS: Final = pattern(r"^\s*\d+: [0-9A-F]{8,32}:([0-9A-F]{4}) [0-9A-F:]+ 0A ", re.MULTILINE)
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
    SILENT = auto()  # it should answer by now, and does so neither by its agent nor on the wire
    DOWN = auto()

    @property
    def is_up(self) -> bool:
        """Whether the guest can be measured."""
        return self in {GuestState.READY, GuestState.NO_AGENT, GuestState.AGENTLESS}

    @property
    def is_down(self) -> bool:
        """Whether the guest will not be measured."""
        return self in {GuestState.NOT_READY, GuestState.SILENT, GuestState.DOWN}


@dataclass(frozen=True, slots=True)
class AgentSeen:
    """What was seen of a guest's agent when it was asked for a sign of life."""

    answers: bool
    connected: bool = False  # libvirt says that the guest has its port open
    state: str = "running"  # of the VM, as libvirt says it; "" when it says nothing
    stopped: int = 0  # the pid of its QEMU, when that process is stopped (state T)
    age_s: float = 0.0  # since its QEMU has been started; 0: unknown
    error: str = ""  # what libvirt said instead of an answer

    @property
    def is_awaited(self) -> bool:
        """Whether the agent may yet come: the guest runs and has not opened its port."""
        return not (self.connected or self.stopped) and self.state == "running"

    @property
    def why(self) -> str:
        """What keeps the agent from answering, as far as it was seen."""
        if self.stopped:
            return f"{NO_AGENT}: its QEMU, process {self.stopped}, is stopped (state T)"
        if not self.state:
            return f"{NO_AGENT}: {self.error}"
        if self.state != "running":
            return f"{NO_AGENT}: libvirt says that it is {self.state}"
        connected = "connected" if self.connected else "not connected"
        return f"{NO_AGENT}, {'though' if self.connected else 'and'} libvirt says it is {connected}"

    def fix(self, vm: str) -> str:
        """Return what helps a guest that does not answer on the wire either."""
        if self.stopped:
            return f"let its QEMU run on: kill -CONT {self.stopped}"
        return f"look at what it said: vmnet logs {vm}"


@dataclass(frozen=True, slots=True)
class WireSeen:
    """Whether a guest answers ARP or ND from its own MAC, asked behind its macvtaps.

    `asked` are its addresses that were asked for, `answered` those that it answers for; `failed`
    is why nobody could ask.
    """

    asked: "tuple[Address, ...]" = ()
    answered: "tuple[Address, ...]" = ()
    failed: str = ""

    @property
    def why(self) -> str:
        """What was seen on the wire, as the end of a sentence about its agent."""
        if self.answered:
            return "it answers on the wire"
        if self.failed:
            return f"nobody could ask it on the wire: {self.failed}"
        if self.asked:
            return "it does not answer on the wire either"
        return "it has no address to ask for on the wire"

    @property
    def evidence(self) -> tuple[str, ...]:
        """What was asked and answered, a line each."""
        return tuple(
            f"who has {one}: {'its own MAC' if one in self.answered else 'nobody'} answered"
            for one in self.asked
        )


@dataclass(frozen=True, slots=True)
class GuestReadiness:
    """The state of one guest; `why` it is down, or measured at its macvtap, and what was seen."""

    state: GuestState = GuestState.AWAITED
    why: str = ""
    fix: str = ""
    evidence: tuple[str, ...] = ()


def judged(vm: str, agent: AgentSeen, wire: WireSeen) -> GuestReadiness:
    """Return the state of a guest whose agent should answer by now and does not."""
    evidence = (*([f"asking its agent: {agent.error}"] if agent.error else ()), *wire.evidence)
    if wire.answered:
        fix = f"look at the guest: vmnet console {vm}; its image needs qemu-guest-agent"
        return GuestReadiness(GuestState.NO_AGENT, agent.why, fix, evidence)
    why = f"{agent.why}; {wire.why}"
    return GuestReadiness(GuestState.SILENT, why, agent.fix(vm), evidence)


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
