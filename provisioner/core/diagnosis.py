"""From evidence to one sentence: why a promise was not kept, and the command that mends it.

The questions are asked in the order in which one cause hides another: a VM that has ended has no
macvtap to look at, an uplink that is down makes all else silent. Nothing is blamed that was not
seen; what nobody could look at is said to be so.
"""

from collections.abc import Callable, Iterator

from provisioner.core import diagnosis_ends as ends
from provisioner.core import diagnosis_ways as ways
from provisioner.core.diagnosis_leaks import leak
from provisioner.core.evidence import Evidence, Finding
from provisioner.core.text import one_line

_Judge = Callable[[Evidence], Finding | None]


def diagnose(evidence: Evidence) -> Finding:
    """Give the reason that the evidence shows; every text in it is one line and harmless."""
    judges = _LEAKS if _leaked(evidence) else _DEAD_ENDS
    found = next(filter(None, (judge(evidence) for judge in judges)), None)
    finding = found or _unexplained(evidence)
    seen = tuple(one_line(line) for line in (*finding.evidence, *_told(evidence)))
    about = finding.about or evidence.target.vm
    fix = one_line(finding.fix)
    return Finding(one_line(finding.what, 400), fix, tuple(dict.fromkeys(seen)), about)


def _leaked(evidence: Evidence) -> bool:
    return not evidence.expected


def _unexplained(e: Evidence) -> Finding:
    what = f"{e.source.vm} -> {e.target.vm} ({e.asked}): {e.note or 'no answer'}"
    if e.expected:
        return Finding(f"{what}; no reason was found", f"watch it: vmnet capture {e.target.vm}")
    return Finding(
        f"{e.source.vm} reaches {e.target.vm}, which it must not, by a way that was not found",
        f"watch it: vmnet capture {e.target.vm}",
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


_LEAKS: tuple[_Judge, ...] = (leak,)
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
    ends.address,
    ways.twice,
    ways.small,
    ways.lossy,
    ends.multicast,
    ways.needs_reflection,
    ways.foreign,
    ways.firewall,
    ways.where_lost,
)
