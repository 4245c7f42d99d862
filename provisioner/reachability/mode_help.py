"""The modes told to people. Who reaches whom is read from the table, not written here."""

import difflib
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.reachability import mode_table
from provisioner.reachability.mode_table import End
from provisioner.text import one_line

_WIDTH: Final = 80  # columns
_SHARED: Final = ("private", "vepa", "bridge", "source")


@dataclass(frozen=True, slots=True)
class Words:
    """What is to be said of a mode besides who reaches whom."""

    mode: str  # as the table knows it
    what: str
    drawing: str
    switch: str
    mind: str  # paragraphs
    plan: str
    page: str


_PRIVATE = Words(
    mode="private",
    what="every guest alone with the LAN: nothing passes between guests",
    drawing=r"""
   guest a         guest b
      |               |
   macvtap  X   X  macvtap        X: nothing passes
       \             /
        +--[ NIC ]--+  X  host
              |
           switch ---- LAN
""",
    switch="that it lets foreign MACs pass",
    mind="""
behind a switch that reflects, unicast to a known MAC passes between private guests: it is tidy,
not a security boundary

such a switch also brings a guest its own broadcasts back: duplicate address detection without
RFC 7527 then fails
""",
    plan="lan: {uplink: eno1, mode: private}",
    page="private",
)
_VEPA = Words(
    mode="vepa",
    what="every frame goes through the switch, which sends back what is for a neighbour",
    drawing=r"""
   guest a         guest b
      |               ^
   macvtap         macvtap
       \             /
        +--[ NIC ]--+     host
            |   ^           as far away as the LAN
            v   |
         switch (802.1Qbg) ---- LAN
          sees, counts and filters every frame
""",
    switch="that it lets foreign MACs pass, and for guest <-> guest that it reflects frames "
    "(802.1Qbg, hairpin)",
    mind="""
few switches reflect: ask yours with `vmnet modes --uplink NIC`, or let vmnet make one with
switch: {hairpin: true}

on a switch that does not, vepa is like private
""",
    plan="lab: {switch: {hairpin: true}, mode: vepa, subnet: 10.77.0.0/24}",
    page="vepa",
)
_BRIDGE = Words(
    mode="bridge",
    what="guests reach each other inside the kernel, and the LAN through the NIC",
    drawing=r"""
   guest a         guest b
      |               |
   macvtap ======= macvtap        =: inside the kernel, never on the wire
       \             /
        +--[ NIC ]--+  X  host    X: nothing passes
              |
           switch ---- LAN
""",
    switch="that it lets foreign MACs pass",
    mind="""
the host itself is not among those reached: host_access: true adds a way (docs/host-access.md)

only bridge guests reach each other: one of another mode on the same NIC stays apart
""",
    plan="lan: {uplink: eno1, mode: bridge, subnet: 192.168.1.0/24, host_access: true}",
    page="bridge",
)
_PASSTHRU = Words(
    mode="passthru",
    what="one guest has the whole NIC, with the NIC's own MAC",
    drawing=r"""
          guest
            |      has the NIC's own MAC
         macvtap
            |
         [ NIC ]  X  host         X: nothing passes
            |
         switch ---- LAN
""",
    switch="nothing: it sees the NIC's own MAC, as ever (Wi-Fi and clouds too)",
    mind="""
the host loses the NIC, and the network behind it, for as long as the guest has it

the kernel allows no other macvtap on that NIC, and no change to or from this mode: vmnet
restarts the guest for it, when told --recreate

if the host's default route is on that NIC, vmnet refuses without take_over: true

it makes the NIC promiscuous; promisc: false does not (vmnet modes nopromisc)
""",
    plan="wan: {uplink: eno2, mode: passthru}",
    page="passthru",
)
_SOURCE = Words(
    mode="source",
    what="a guest hears only the senders on its list",
    drawing=r"""
   guest a         guest b
      ^               |
   [ list ]           |           a hears b only if its list names b's MAC,
      |               |           and the switch sends b's frames back
   macvtap         macvtap
       \             /
        +--[ NIC ]--+  X  host    X: nothing passes
              |
           switch ---- LAN        a hears the machines on its list
""",
    switch="that it lets foreign MACs pass, and for guest <-> guest that it reflects frames "
    "(802.1Qbg, hairpin)",
    mind="""
a guest with an empty list is deaf: it sends, and hears nobody, its gateway included

what is on the list is copied to the guest whatever its destination: a gateway on the list shows
the guest the host's traffic from it, and answers the host's pings twice while no guest reads

the list holds MACs, which anybody on the LAN can forge
""",
    plan='acl: {uplink: eno1, mode: source, allow: ["02:00:00:00:00:01", vm:web1]}',
    page="source",
)
_NOPROMISC = Words(
    mode="passthru",
    what="passthru that leaves the NIC's promiscuous mode off (promisc: false)",
    drawing=_PASSTHRU.drawing,
    switch=_PASSTHRU.switch,
    mind="""
the NIC lets in its own MAC, broadcast and multicast: a guest that changes its MAC, or bridges
others behind it, is not answered

everything else is as in passthru: vmnet modes passthru

only passthru has it: the kernel takes the flag elsewhere, and ignores it
""",
    plan="wan: {uplink: eno2, mode: passthru, promisc: false}",
    page="passthru",
)

WORDS: Final = {
    "private": _PRIVATE,
    "vepa": _VEPA,
    "bridge": _BRIDGE,
    "passthru": _PASSTHRU,
    "source": _SOURCE,
    "nopromisc": _NOPROMISC,
}


def explain(word: str) -> str:
    """Explain a mode. Raises VmnetError for a word that is not a mode."""
    word = {"passthrough": "passthru"}.get(word, word)
    if word not in WORDS:
        near = difflib.get_close_matches(word, WORDS, n=1)
        known = f"use one of {', '.join(WORDS)}"
        raise VmnetError(
            f'"{one_line(word)}" is not a macvtap mode',
            fix=f"did you mean {near[0]}? {known}" if near else known,
            status=Exit.BAD_INPUT,
        )
    words = WORDS[word]
    parts = (
        f"{word}: {words.what}",
        words.drawing.strip("\n"),
        "\n".join(reaches(words.mode)),
        _wrapped(f"What it needs of the switch: {words.switch}."),
        "\n".join(["Note:", *(_wrapped(f"  * {one}", "    ") for one in _items(words.mind))]),
        f"In a plan:  {words.plan}",
        f"More: docs/modes/{words.page}.md. Measured on this kernel: vmnet modes",
    )
    return "\n\n".join(parts)


def reaches(mode: str) -> Iterator[str]:
    """Lay out who reaches whom in a mode, line by line, behind both kinds of switch."""
    yield f"  {'':30}{'a usual switch':18}a switch that reflects"
    for what, off, on in rows(mode):
        yield f"  {what:30}{off:18}{on}".rstrip()


def rows(mode: str) -> Iterator[tuple[str, str, str]]:
    """Give what a mode reaches: with whom, behind a usual switch, behind one that reflects."""
    own = End(mode)
    for other in () if mode == "passthru" else _SHARED:
        off, on = _reaches(own, End(other))
        listed = " (its list)" if "source" in {mode, other} and on == "yes" else ""
        yield f"guest <-> guest in {other}", off, on + listed
    if mode == "passthru":
        yield "guest <-> guest", "no other there", "no other there"
    off, on = _reaches(own, mode_table.HOST)
    listed = " (if listed)" if mode == "source" else ""
    yield "guest <-> host", off, on + (listed if on == "yes" else "")
    off, on = _reaches(own, mode_table.OUTSIDE)
    yield "guest <-> LAN", off + listed, on + listed
    received = "yes" if mode_table.receives_own_broadcasts(own, hairpin=True) else "no"
    yield "receives its own broadcasts", "no", received


def _reaches(a: End, b: End) -> tuple[str, str]:
    off, on = (mode_table.reach(a, b, hairpin=hairpin) for hairpin in (False, True))
    return "yes" if off.works else "no", "yes" if on.works else "no"


def _items(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
