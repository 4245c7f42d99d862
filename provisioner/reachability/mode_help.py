"""The page that `vmnet modes MODE` prints; who reaches whom is read from the mode table."""

import difflib
from collections.abc import Iterator
from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.plan.choices import Mode
from provisioner.reachability import mode_table
from provisioner.reachability.mode_table import End
from provisioner.template_files import template
from provisioner.text import one_line

NOPROMISC: Final = "nopromisc"  # passthru with promisc: false
TOPICS: Final = (*Mode, NOPROMISC)
"""What there is a page of, `templates/modes/TOPIC.txt`."""

_REACHES: Final = "@reaches@"
"""Where a page has the table of who reaches whom."""


def explain(topic: str) -> str:
    """Return the page of a mode. Raises VmnetError for a word that is not a mode."""
    topic = {"passthrough": "passthru"}.get(topic, topic)
    if topic not in TOPICS:
        near = difflib.get_close_matches(topic, TOPICS, n=1)
        known = f"use one of {', '.join(TOPICS)}"
        raise VmnetError(
            f'"{one_line(topic)}" is not a macvtap mode',
            fix=f"did you mean {near[0]}? {known}" if near else known,
            status=Exit.BAD_INPUT,
        )
    page = template(f"modes/{topic}.txt")
    return page.rstrip("\n").replace(_REACHES, "\n".join(_reaches(mode_of(topic))))


def mode_of(topic: str) -> Mode:
    """Return the mode that a page is about."""
    return Mode.PASSTHRU if topic == NOPROMISC else Mode(topic)


def rows(mode: Mode) -> Iterator[tuple[str, str, str]]:
    """Return what a mode reaches: whom, behind a usual switch, behind one that reflects."""
    own = End(mode)
    for other in () if mode.is_exclusive else Mode:
        if not other.is_exclusive:
            off, on = _works(own, End(other))
            by_list = mode.has_source_list or other.has_source_list
            yield f"guest <-> guest in {other}", off, on + (" (its list)" if by_list else "")
    if mode.is_exclusive:
        yield "guest <-> guest", "no other there", "no other there"
    listed = " (if listed)" if mode.has_source_list else ""
    off, on = _works(own, mode_table.HOST)
    yield "guest <-> host", off, on + listed
    off, on = _works(own, mode_table.OUTSIDE)
    yield "guest <-> LAN", off + listed, on + listed
    received = "yes" if mode_table.receives_own_broadcasts(own, hairpin=True) else "no"
    yield "receives its own broadcasts", "no", received


def _reaches(mode: Mode) -> Iterator[str]:
    yield f"  {'':30}{'a usual switch':18}a switch that reflects"
    for what, off, on in rows(mode):
        yield f"  {what:30}{off:18}{on}".rstrip()


def _works(a: End, b: End) -> tuple[str, str]:
    off, on = (mode_table.reach(a, b, hairpin=hairpin) for hairpin in (False, True))
    return "yes" if off.works else "no", "yes" if on.works else "no"
