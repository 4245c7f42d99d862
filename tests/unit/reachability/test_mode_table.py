"""The documented table against what was measured with raw frames and pings on Linux 6.18.

A line: mode A, mode B, then a>b b>a a>host host>a a>outside outside>a b>host host>b: each the flow
one way (Unicast, Broadcast, Multicast) and the pings that come back (IPv4, IPv6); last, whose own
broadcasts come back to it. A dot: there is no such end. source0 is source with an empty list.
"""

from itertools import combinations_with_replacement, product

import pytest

from provisioner.plan.choices import Mode
from provisioner.reachability import mode_table
from provisioner.reachability.mode_table import End, Flow, Reach

OFF = """\
private private ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
private vepa ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
private bridge ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
private source0 ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
private source ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
vepa vepa ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
vepa bridge ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
vepa source0 ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
vepa source ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
bridge bridge UBM:46 UBM:46 ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
bridge source0 ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
bridge source ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
source0 source0 ---:-- ---:-- ---:-- ---:-- UBM:-- ---:-- ---:-- ---:-- - -
source0 source ---:-- ---:-- ---:-- ---:-- UBM:-- ---:-- ---:-- ---:-- - -
source source ---:-- ---:-- ---:-- ---:-- UBM:46 UBM:46 ---:-- ---:-- - -
passthru . . . ---:-- ---:-- UBM:46 UBM:46 . . - .
passthru+nopromisc . . . ---:-- ---:-- UBM:46 UBM:46 . . - .
"""
ON = """\
private private U--:-- U--:-- U--:46 UBM:46 UBM:46 UBM:46 U--:46 UBM:46 B B
private vepa U--:-- U--:-- U--:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 B -
private bridge U--:-- U--:-- U--:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 B -
private source0 ---:-- U--:-- U--:46 UBM:46 UBM:46 UBM:46 U--:-- ---:-- B B
private source UBM:46 U--:46 U--:46 UBM:46 UBM:46 UBM:46 U--:46 UBM:46 B B
vepa vepa UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 - -
vepa bridge UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 - -
vepa source0 ---:-- U--:-- UBM:46 UBM:46 UBM:46 UBM:46 U--:-- ---:-- - B
vepa source UBM:46 U--:46 UBM:46 UBM:46 UBM:46 UBM:46 U--:46 UBM:46 - B
bridge bridge UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 UBM:46 - -
bridge source0 ---:-- U--:-- UBM:46 UBM:46 UBM:46 UBM:46 U--:-- ---:-- - B
bridge source UBM:46 U--:46 UBM:46 UBM:46 UBM:46 UBM:46 U--:46 UBM:46 - B
source0 source0 ---:-- ---:-- U--:-- ---:-- UBM:-- ---:-- U--:-- ---:-- B B
source0 source UBM:-- ---:-- U--:-- ---:-- UBM:-- ---:-- U--:46 UBM:46 B B
source source UBM:46 UBM:46 U--:46 UBM:46 UBM:46 UBM:46 U--:46 UBM:46 B B
passthru . . . ---:-- UBM:-- UBM:46 UBM:46 . . B .
passthru+nopromisc . . . ---:-- UBM:-- UBM:46 UBM:46 . . B .
"""
DIRECTIONS = ("a>b", "b>a", "a>host", "host>a", "a>out", "out>a", "b>host", "host>b")
LINES = [
    pytest.param(line.split(), hairpin, id=f"{'-'.join(line.split()[:2])}-hairpin-{hairpin}")
    for table, hairpin in ((OFF, False), (ON, True))
    for line in table.splitlines()
]


def end(word: str) -> End:
    if word == "source0":
        return End(Mode.SOURCE, lists=False)
    return End(Mode(word.partition("+")[0]))


def reaches(a: End, b: End, *, hairpin: bool) -> dict[str, Reach]:
    ends = {"a": a, "b": b, "host": mode_table.HOST, "out": mode_table.OUTSIDE}
    return {
        way: mode_table.reach(*(ends[name] for name in way.split(">")), hairpin=hairpin)
        for way in DIRECTIONS
    }


def cell(reach: Reach) -> str:
    return f"{reach.there}:{'46' if reach.works else '--'}"


@pytest.mark.parametrize(("line", "hairpin"), LINES)
def test_the_table_says_what_was_measured(line: list[str], hairpin: bool) -> None:  # noqa: FBT001
    first, second, *measured, own_a, own_b = line
    alone = second == "."
    a, b = end(first), end(first if alone else second)
    told = {k: cell(r) for k, r in reaches(a, b, hairpin=hairpin).items()}
    own = tuple(
        "B" if mode_table.receives_own_broadcasts(x, hairpin=hairpin) else "-" for x in (a, b)
    )
    without = {k: "." if alone and "b" in k else v for k, v in told.items()}
    assert (without, own[0]) == (dict(zip(DIRECTIONS, measured, strict=True)), own_a)
    assert alone or own[1] == own_b


@pytest.mark.parametrize(("line", "hairpin"), LINES)
def test_every_cell_has_a_reason(line: list[str], hairpin: bool) -> None:  # noqa: FBT001
    a, b = end(line[0]), end(line[0] if line[1] == "." else line[1])
    told = reaches(a, b, hairpin=hairpin).values()
    assert [reach for reach in told if len(reach.why.split()) < 5] == []


def test_passthru_has_no_neighbours() -> None:
    for mode in Mode:
        reach = mode_table.reach(End(Mode.PASSTHRU), End(mode), hairpin=True)
        assert (reach.works, reach.why.partition(":")[0]) == (
            False,
            "passthru takes the whole uplink",
        )


def test_a_ping_may_need_the_other_side_to_have_asked_first() -> None:
    there = mode_table.reach(End(Mode.PRIVATE), End(Mode.SOURCE), hairpin=True)
    back = mode_table.reach(End(Mode.SOURCE), End(Mode.PRIVATE), hairpin=True)
    assert [(r.works, r.there) for r in (there, back)] == [(True, Flow.ALL), (True, Flow.UNICAST)]


def test_a_list_that_does_not_name_the_other_end_drops_its_frames() -> None:
    full, empty = End(Mode.SOURCE), End(Mode.SOURCE, lists=False)
    assert mode_table.reach(full, full, hairpin=True).works
    assert not mode_table.reach(empty, mode_table.HOST, hairpin=True).works
    assert mode_table.reach(empty, mode_table.OUTSIDE, hairpin=True) == Reach(
        Flow.ALL,
        Flow.NOTHING,
        "the source list does not name the machine outside: its answers are dropped",
    )


REASONS = """\
private mode hands nothing to its neighbours, and this switch reflects nothing
  private-private private-vepa private-bridge private-source0 private-source
passthru takes the whole uplink: the kernel allows no macvtap beside it
  private-passthru vepa-passthru bridge-passthru source0-passthru source-passthru
  passthru-passthru private-passthru+ vepa-passthru+ bridge-passthru+ source0-passthru+
  source-passthru+ passthru-passthru+
the kernel keeps an uplink's own stack and the macvtaps on it apart
  private-host vepa-host bridge-host source0-host source-host
every mode sends to the wire what is not for a neighbour, and receives from the wire
  private-outside vepa-outside bridge-outside passthru-outside private-outside+ vepa-outside+
  bridge-outside+ passthru-outside+
vepa sends all frames to the wire, and this switch reflects none
  vepa-vepa vepa-bridge
source sends all frames to the wire, and this switch reflects none
  vepa-source0 vepa-source bridge-source0 bridge-source source0-source0 source0-source
  source-source
bridge mode hands frames from macvtap to macvtap
  bridge-bridge bridge-bridge+
the source list does not name the machine outside: its answers are dropped
  source0-outside source0-outside+
the source list names the machine outside
  source-outside source-outside+
passthru takes the uplink, its MAC and all its frames from the host
  passthru-host passthru-host+
private mode keeps broadcasts of neighbours away, so they cannot ask for each other's MAC;
unicast to a known MAC passes behind a switch that reflects
  private-private+ private-vepa+ private-bridge+
a source list that does not name the neighbour drops what the switch reflects
  private-source0+ vepa-source0+ bridge-source0+ source0-source0+ source0-source+
the switch reflects the frames, and the source list names the neighbour
  private-source+ vepa-source+ bridge-source+ source-source+
the switch reflects the frames, so the host is like any machine outside
  private-host+ vepa-host+ bridge-host+ source-host+
the switch reflects the frames
  vepa-vepa+ vepa-bridge+
the source list does not name the host: its frames are dropped
  source0-host+
"""
"""Each reason, and the ends that it holds for; + is a switch that reflects."""


def test_every_pair_of_ends_has_its_reason() -> None:
    words = ("private", "vepa", "bridge", "source0", "source", "passthru")
    ends = {word: end(word) for word in words}
    ends |= {"host": mode_table.HOST, "outside": mode_table.OUTSIDE}
    found: dict[str, list[str]] = {}
    for hairpin, (a, b) in product((False, True), combinations_with_replacement(ends, 2)):
        if a in words:
            why = mode_table.reach(ends[a], ends[b], hairpin=hairpin).why
            assert mode_table.reach(ends[b], ends[a], hairpin=hairpin).why == why
            found.setdefault(why, []).append(f"{a}-{b}{'+' if hairpin else ''}")
    text = " ".join(f"{why} {' '.join(pairs)}" for why, pairs in found.items())
    assert text == " ".join(REASONS.split())
