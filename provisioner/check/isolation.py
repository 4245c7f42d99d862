"""Whether the silence of two ends is isolation, or only silence: a judge of what was seen.

A dead guest, a dead cable and a filter on the uplink are silent too. So a pair that must not meet
counts as isolated only when its question was seen to leave, when both ends took a control that was
sent after it, and when frames passed the uplink both ways. What nobody has seen counts as missing.
"""

from enum import StrEnum

from provisioner.dataclass import dataclass
from provisioner.plan.checks import HOST


class ControlBy(StrEnum):
    """What an end has answered as a control, or why it needs none."""

    PING = "a ping put in at the uplink"
    WHO_HAS = "who-has put in at the uplink"
    ITSELF = (
        "its own agent's question"  # about a service of its own, or where no frames can be put in
    )
    OTHERS = "another end"  # which reaches it
    THIS_HOST = "vmnet runs there"
    LOGIN = "its login"  # of a machine that has asked by ssh
    ANSWER = "another answer"  # as "status 500": packets come back


@dataclass(frozen=True, slots=True)
class EndControl:
    """How one end of a pair has shown that it would have answered.

    `after` are the seconds from the control to its answer; None when none has come.
    """

    by: ControlBy
    after: float | None = None
    why: str = ""  # why nobody could ask it

    @property
    def is_alive(self) -> bool:
        """Whether the end has answered."""
        return self.after is not None


@dataclass(frozen=True, slots=True)
class Path:
    """The uplink between two ends, after their question was asked.

    `beyond` is who has answered a guest from beyond the uplink, "" for nobody; None where the
    uplink leads to vmnet's own switch, which has nobody to ask. `deaf`: of what was put in at the
    uplink for several guests nothing was answered by any of them.
    """

    uplink: str
    exists: bool = False
    up: bool = False
    carrier: bool = False
    beyond: str | None = ""
    deaf: bool = False

    @property
    def broken(self) -> str:
        """What keeps all frames from passing, or ""."""
        if not self.exists:
            return f"the uplink {self.uplink} is not there"
        if not self.up:
            return f"the uplink {self.uplink} is down"
        if not self.carrier:
            return f"the uplink {self.uplink} has no carrier"
        return ""


@dataclass(frozen=True, slots=True)
class Control:
    """What was seen around the silence of a pair.

    `asked`: its question was seen to leave the source. `left`: it was seen to leave by the uplink
    too; None where it does not go there. `answered`: an answer came back to the source's macvtap
    all the same. `astray` says which packets between the two went to a MAC that the other has not.
    `mute`: of a target that no frame can be put in for nothing was seen to leave. `cut` says why no
    frame can pass, as the plan wants it: "the link of a is down".
    """

    source: EndControl
    target: EndControl
    asked: bool = False
    left: bool | None = False
    answered: bool = False
    astray: str = ""
    mute: bool = False
    path: Path | None = None  # None: no uplink is between them
    cut: str = ""
    why_not: str = ""  # why nothing could be seen at all


NOT_LOOKED: Control = Control(
    EndControl(ControlBy.PING), EndControl(ControlBy.PING), why_not="no control was made"
)
"""The control of a pair that nobody has made one for: it shows nothing."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What is missing for silence to be isolation, and how to get it."""

    what: str
    fix: str


def lack(source: str, target: str, control: Control) -> Lack | None:
    """Return what is missing for silence to be isolation; None when nothing is."""
    if control.cut:
        return None
    if control.why_not:
        return Lack(
            control.why_not, "run it as root: sudo vmnet check, or give it longer: --timeout"
        )
    path = control.path
    return (
        (_broken(path) if path else None)
        or _unasked(source, target, control)
        or (_deaf(path) if path else None)
        or _silent(target, control.target)
        or _mute(target, control)
        or _silent(source, control.source)
        or (_unpassed(source, path, control) if path else None)
    )


def _broken(path: Path) -> Lack | None:
    if not path.broken:
        return None
    return Lack(path.broken, f"look at it: ip link show {path.uplink}; then: vmnet up")


def _unasked(source: str, target: str, control: Control) -> Lack | None:
    if not control.asked:
        what = f"nothing that {source} sent to {target} was seen to leave it"
        return Lack(what, f"look at its routes and addresses: vmnet exec {source} -- ip route")
    if control.astray:
        look = f"look at its neighbours: vmnet exec {source} -- ip neigh; and at those of {target}"
        return Lack(control.astray, look)
    if control.answered:
        what = f"an answer of {target} came to {source}, which did not take it in time"
        look = "nft list ruleset" if source == HOST else f"vmnet console {source}"
        return Lack(what, f"measure again: vmnet check; or look at what drops it there: {look}")
    return None


def _deaf(path: Path) -> Lack | None:
    if not path.deaf:
        return None
    what = f"nothing that is put in at {path.uplink} is answered by any guest there"
    return Lack(what, f"look at its filters: nft list ruleset; tc filter show dev {path.uplink}")


def _silent(end: str, control: EndControl) -> Lack | None:
    if control.after is not None:
        return None
    why = f": {control.why}" if control.why else ""
    if control.by is ControlBy.OTHERS:
        what = f"nobody has reached {end} in this check{why}"
        return Lack(what, f"bring {end} up, or let a check reach it from another end")
    return Lack(
        f"{end} has not answered {control.by} either{why}", f"look inside: vmnet console {end}"
    )


def _mute(target: str, control: Control) -> Lack | None:
    if not control.mute:
        return None
    what = f"nothing that {target} sent was seen to leave it, so it could not have answered"
    return Lack(what, "look what drops it there: nft list ruleset")


def _unpassed(source: str, path: Path, control: Control) -> Lack | None:
    if control.left is False:
        what = f"what {source} sent never left by {path.uplink}"
        return Lack(what, f"look at its filters: nft list ruleset; tcpdump -n -i {path.uplink}")
    if path.beyond == "":
        what = f"nobody beyond {path.uplink} has answered, so nothing shows that frames pass it"
        return Lack(what, "write a gateway at the network, or a machine of that wire into hosts")
    return None


def told(target: str, control: Control) -> str:
    """Return in a few words what the target has answered instead: the control of a silence."""
    if control.cut:
        return control.cut
    after = control.target.after
    took = f" after {after * 1000:.1f} ms" if after else ""
    return f"{target} answered {control.target.by}{took}"


def seen(source: str, target: str, control: Control) -> tuple[str, ...]:
    """Return what was seen, a line each: what a verdict rests on."""
    if control.cut or control.why_not:
        return (control.cut or control.why_not,)
    path = control.path
    lines = [f"question of {source}: {'left it' if control.asked else 'not seen'}"]
    if path and control.left is not None:
        way = "left" if control.left else "was not seen to leave"
        lines.append(f"question of {source}: {way} by {path.uplink}")
    for name, end in ((target, control.target), (source, control.source)):
        answer = "no answer" if end.after is None else f"answered after {end.after * 1000:.1f} ms"
        lines.append(f"control of {name} ({end.by}): {answer}")
    if path and path.beyond is not None:
        lines.append(f"beyond {path.uplink}: {path.beyond or 'nobody'} answered")
    return tuple(lines)
