"""The documented table against what was measured with raw frames and pings on Linux 6.18.

A line: mode A, mode B, then a>b b>a a>host host>a a>outside outside>a b>host host>b: each the flow
one way (Unicast, Broadcast, Multicast) and the pings that come back (IPv4, IPv6); last, whose own
broadcasts come back to it. A dot: there is no such end. source0 is source with an empty list.
"""

import pytest

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
        return End("source", lists=False)
    return End(word.partition("+")[0])


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
    a, b = end(line[0]), end(line[1])
    told = reaches(a, b, hairpin=hairpin).values()
    assert [reach for reach in told if len(reach.why.split()) < 5] == []


def test_passthru_has_no_neighbours() -> None:
    for mode in ("private", "vepa", "bridge", "passthru", "source"):
        reach = mode_table.reach(End("passthru"), End(mode), hairpin=True)
        assert (reach.works, reach.why.partition(":")[0]) == (
            False,
            "passthru takes the whole uplink",
        )


def test_a_ping_may_need_the_other_side_to_have_asked_first() -> None:
    there = mode_table.reach(End("private"), End("source"), hairpin=True)
    back = mode_table.reach(End("source"), End("private"), hairpin=True)
    assert [(r.works, r.there) for r in (there, back)] == [(True, Flow.ALL), (True, Flow.UNICAST)]


def test_a_list_that_does_not_name_the_other_end_drops_its_frames() -> None:
    full, empty = End("source"), End("source", lists=False)
    assert mode_table.reach(full, full, hairpin=True).works
    assert not mode_table.reach(empty, mode_table.HOST, hairpin=True).works
    assert mode_table.reach(empty, mode_table.OUTSIDE, hairpin=True) == Reach(
        Flow.ALL,
        Flow.NOTHING,
        "the source list does not name the machine outside: its answers are dropped",
    )


def test_why_is_said_in_words() -> None:
    told = {
        (a, b, hairpin): mode_table.reach(End(a), End(b), hairpin=hairpin).why
        for a, b, hairpin in (
            ("bridge", "bridge", False),
            ("vepa", "bridge", False),
            ("vepa", "bridge", True),
            ("private", "bridge", False),
        )
    }
    assert told == {
        ("bridge", "bridge", False): "bridge mode hands frames from macvtap to macvtap",
        ("vepa", "bridge", False): "vepa sends all frames to the wire, and this switch reflects "
        "none",
        ("vepa", "bridge", True): "the switch reflects the frames",
        ("private", "bridge", False): "private mode hands nothing to its neighbours, and this "
        "switch reflects nothing",
    }
