"""From evidence to one sentence: why an expectation was not met, and the command that fixes it.

The judges are asked in the order in which one cause hides another: a VM that has ended has no
macvtap to look at, an uplink that is down makes all else silent. Nothing is blamed that was not
seen.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from provisioner.check import isolation
from provisioner.check.diagnosis import answers, endpoint, external, leak, lease, lost, path
from provisioner.check.diagnosis.fixes import watch
from provisioner.check.evidence import Endpoint, Evidence
from provisioner.check.result import Finding
from provisioner.text import one_line

_Judge = Callable[[Evidence], Finding | None]


_MOST_LINES = 24


def diagnose(evidence: Evidence, alike: Iterable[tuple[Evidence, Finding]] = ()) -> Finding:
    """Return the reason that the evidence shows; every text in it is one line and harmless.

    Where it shows none, and nobody has followed the frames of this pair, that of a pair in `alike`
    is taken, whose frames somebody has, if it is about an end that both have.
    """
    judges = _DEAD_ENDS if evidence.expected else _LEAKS
    judges = _PASSED if evidence.expected and evidence.works_now else judges
    judges = _UNTESTED if evidence.untested else judges
    judges = _NOT_SHOWN if evidence.control else judges
    found = next(filter(None, (judge(evidence) for judge in judges)), None)
    finding = found or _shared(evidence, alike) or path.silent(evidence) or _unexplained(evidence)
    controlled = evidence.control
    around = (
        isolation.seen(evidence.source.vm, evidence.target.vm, controlled) if controlled else ()
    )
    seen = tuple(one_line(line) for line in (*finding.evidence, *around, *_observed(evidence)))
    about = finding.about or evidence.target.vm
    fix = one_line(finding.fix)
    return Finding(one_line(finding.what, 400), fix, tuple(dict.fromkeys(seen)), about)


def is_plain(evidence: Evidence) -> bool:
    """Return whether the state of an end or of the uplink alone shows the reason.

    Then no frame need be followed.
    """
    return any(judge(evidence) for judge in _PLAIN)


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings again, those with one sentence as one: with what was seen of all."""
    first: dict[str, Finding] = {}
    for finding in findings:
        same = first.setdefault(finding.what, finding)
        lines = tuple(dict.fromkeys((*same.evidence, *finding.evidence)))[:_MOST_LINES]
        first[finding.what] = replace(same, evidence=lines)
    return [first[finding.what] for finding in findings]


def _shared(e: Evidence, alike: Iterable[tuple[Evidence, Finding]]) -> Finding | None:
    """Return a finding of another pair that is about an end of this pair too, and no other."""
    if e.listened or e.untested or e.control or not e.expected:
        return None
    mine = {e.source.vm, e.target.vm, str(e.address)}
    for other, finding in alike:
        same = {
            *({e.source.vm} if other.source.link == e.source.link else ()),
            *({e.target.vm} if other.target.link == e.target.link else ()),
            *({e.uplink.name} if other.uplink.name == e.uplink.name else ()),
        }
        strange = {other.source.vm, other.target.vm, str(other.address)} - mine
        named = any(
            re.search(rf"(?<![\w.:-]){re.escape(x)}(?![\w-]|[.:]\w)", finding.what) for x in strange
        )
        if other.expected and not other.works_now and finding.about in same and not named:
            return finding
    return None


def _unexplained(e: Evidence) -> Finding:
    what = f"{e.source.vm} -> {e.target.vm} ({e.asked}): {e.note or 'no answer'}"
    if e.untested:
        why = e.note.removeprefix("cannot be tested: ") or "nobody could ask"
        return Finding(
            f"{e.source.vm} -> {e.target.vm} ({e.asked}) cannot be tested: {why}",
            "fix what keeps it from being tested, or take the line out of checks",
        )
    if e.expected:
        return Finding(f"{what}; no reason was found", watch(e))
    return Finding(
        f"{e.source.vm} reaches {e.target.vm}, which it must not, by a way that was not found",
        watch(e),
    )


def _observed(e: Evidence) -> Iterator[str]:
    """Return what was looked at, a line each, whatever the verdict."""
    up = e.uplink
    if up.exists:
        state = "up" if up.up else "down"
        yield f"uplink {up.name}: {state}, {'carrier' if up.carrier else 'no carrier'}"
    if up.reflects is not None:
        yield f"switch behind {up.name}: sends frames {'back' if up.reflects else 'not back'}"
    for end in e.ends:
        yield from _of_end(end)
    if e.owners:
        yield f"who has {e.address}: {', '.join(e.owners)} answered"
    if e.again_at or e.listened:
        seen = sorted({f"{s.kind} {s.heading} at the {s.point}" for s in e.sightings})
        again = f" at {e.again_at}" if e.again_at else ""
        state = {True: ", answered", False: ", not answered", None: ""}[e.works_now]
        frames = f"; frames seen: {'; '.join(seen) or 'none'}" if e.listened else ""
        yield f"asked again{again}{state}{frames}"
    if e.other_family is not None:
        yield f"the other version of IP: {'works' if e.other_family else 'does not work either'}"


def _of_end(end: Endpoint) -> Iterator[str]:
    if end.is_guest and not end.exists:
        yield f"macvtap of {end.vm}: {end.link}, not there"
    elif end.link and end.mode:
        yield f"macvtap of {end.vm}: {end.link}, mode {end.mode}, {'up' if end.up else 'down'}"
    if end.impaired:
        yield f"link of {end.vm}: {end.impaired}"


def _ends(judge: Callable[[Endpoint], Finding | None]) -> _Judge:
    """Return a judge of both ends, the source first."""
    return lambda e: next(filter(None, map(judge, e.ends)), None)


_LEAKS: tuple[_Judge, ...] = (
    leak.refused,
    leak.changed,
    leak.by_the_wire,
    leak.by_mode,
    leak.reflected,
)
_NOT_SHOWN: tuple[_Judge, ...] = (
    _ends(endpoint.vm_state),
    path.uplink,
    _ends(endpoint.macvtap),
    _ends(endpoint.held),
    _ends(endpoint.other_mac),
    _ends(endpoint.interface),
    _ends(endpoint.guard),
    lease.not_got,
    lease.unknown,
    # What is asked by name has no address, which is nobody's fault.
    lambda e: endpoint.address(e) if e.address else None,
    path.twice,
    leak.not_shown,
)
_UNTESTED: tuple[_Judge, ...] = (
    external.no_login,
    _ends(endpoint.vm_state),
    path.uplink,
    _ends(endpoint.macvtap),
    endpoint.agent,
    _ends(endpoint.interface),
    lease.not_got,
    answers.by_name,
    lease.unknown,
    endpoint.address,
    path.twice,
)
# What works now accuses nobody but by what is wrong even so.
_PASSED: tuple[_Judge, ...] = (
    _ends(endpoint.macvtap),
    _ends(endpoint.held),
    _ends(endpoint.impaired),
    path.twice,
    path.lossy,
    lost.passed,
)
_PLAIN: tuple[_Judge, ...] = (
    _ends(endpoint.vm_state),
    path.uplink,
    _ends(endpoint.macvtap),
    _ends(endpoint.held),
    _ends(endpoint.impaired),
    endpoint.of_host,
    path.refused,
    endpoint.agent,
    _ends(endpoint.other_mac),
    _ends(endpoint.interface),
)
_DEAD_ENDS: tuple[_Judge, ...] = (
    *_PLAIN,
    _ends(endpoint.guard),
    lease.not_got,
    answers.by_name,
    lease.unknown,
    endpoint.address,
    endpoint.prefix,
    path.twice,
    path.small,
    path.lossy,
    answers.otherwise,
    endpoint.multicast,
    path.needs_reflection,
    path.foreign,
    lost.stolen_route,
    lost.misled,
    lost.where_lost,
)
