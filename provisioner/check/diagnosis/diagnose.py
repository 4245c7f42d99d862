"""From evidence to one sentence: why a promise was not kept, and the command that mends it.

The questions are asked in the order in which one cause hides another: a VM that has ended has no
macvtap to look at, an uplink that is down makes all else silent. Nothing is blamed that was not
seen; what nobody could look at is said to be so.
"""

from collections.abc import Callable, Iterator

from provisioner.check.diagnosis import answers
from provisioner.check.diagnosis import endpoint as ends
from provisioner.check.diagnosis import external as outside
from provisioner.check.diagnosis import leak as leaks
from provisioner.check.diagnosis import path as ways
from provisioner.check.diagnosis.fixes import watch
from provisioner.check.evidence import Evidence
from provisioner.check.result import Finding
from provisioner.text import one_line

_Judge = Callable[[Evidence], Finding | None]


def diagnose(evidence: Evidence) -> Finding:
    """Give the reason that the evidence shows; every text in it is one line and harmless."""
    judges = _DEAD_ENDS if evidence.expected else _LEAKS
    judges = _UNTESTED if evidence.untested else judges
    found = next(filter(None, (judge(evidence) for judge in judges)), None)
    finding = found or _unexplained(evidence)
    seen = tuple(one_line(line) for line in (*finding.evidence, *_told(evidence)))
    about = finding.about or evidence.target.vm
    fix = one_line(finding.fix)
    return Finding(one_line(finding.what, 400), fix, tuple(dict.fromkeys(seen)), about)


def _unexplained(e: Evidence) -> Finding:
    what = f"{e.source.vm} -> {e.target.vm} ({e.asked}): {e.note or 'no answer'}"
    if e.untested:
        told = e.note.removeprefix("cannot be tested: ") or "nobody could ask"
        return Finding(
            f"{e.source.vm} -> {e.target.vm} ({e.asked}) cannot be tested: {told}",
            "fix what keeps it from being tested, or take the line out of checks",
        )
    if e.expected:
        return Finding(f"{what}; no reason was found", watch(e))
    return Finding(
        f"{e.source.vm} reaches {e.target.vm}, which it must not, by a way that was not found",
        watch(e),
    )


def _told(e: Evidence) -> Iterator[str]:
    """List what was looked at, whatever the verdict."""
    up = e.uplink
    if up.exists:
        state = "up" if up.up else "down"
        yield f"uplink {up.name}: {state}, {'carrier' if up.carrier else 'no carrier'}"
    if up.reflects is not None:
        yield f"switch behind {up.name}: sends frames {'back' if up.reflects else 'not back'}"
    for end in (e.source, e.target):
        if end.link and end.exists and end.mode:
            yield f"macvtap of {end.vm}: {end.link}, mode {end.mode}, {'up' if end.up else 'down'}"
    if e.owners:
        yield f"who has {e.address}: {', '.join(e.owners)} answered"
    if e.listened:
        seen = sorted(f"{s.kind} {s.heading} at the {s.point}" for s in e.sightings)
        yield f"frames seen: {'; '.join(seen) or 'none'}"
    if e.other_family is not None:
        yield f"the other version of IP: {'works' if e.other_family else 'does not work either'}"


_LEAKS: tuple[_Judge, ...] = (
    leaks.changed,
    leaks.by_the_wire,
    leaks.by_mode,
    leaks.reflected,
)
_UNTESTED: tuple[_Judge, ...] = (
    outside.no_login,
    ends.vm_state,
    ways.uplink,
    ends.macvtap,
    ends.agent,
    ends.interface_down,
    answers.by_name,
    ends.address,
    ways.twice,
)
_DEAD_ENDS: tuple[_Judge, ...] = (
    ends.vm_state,
    ways.uplink,
    ends.macvtap,
    ends.held,
    ends.impaired,
    ways.refused,
    ends.agent,
    ends.other_mac,
    ends.interface_down,
    ends.guard,
    answers.by_name,
    ends.address,
    ways.twice,
    ways.small,
    ways.lossy,
    answers.otherwise,
    ends.multicast,
    ways.needs_reflection,
    ways.foreign,
    ways.firewall,
    outside.where_lost,
    ways.where_lost,
)
