"""When a silence is isolation: each part of its control, taken away, makes it none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.check.isolation import (
    NOT_LOOKED,
    Control,
    ControlBy,
    EndControl,
    Lack,
    Path,
    lack,
    seen,
    told,
)
from tests.builders.controls import SHOWN

SILENT = EndControl(ControlBy.PING)
UPLINK = SHOWN.path or Path("")


def what(control: Control) -> str:
    missing = lack("a", "b", control)
    return missing.what if missing else ""


def test_a_silence_with_its_whole_control_is_isolation() -> None:
    assert lack("a", "b", SHOWN) is None
    assert told("b", SHOWN) == "b answered a ping put in at the uplink after 3.0 ms"


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ({"asked": False}, "nothing that a sent to b was seen to leave it"),
        ({"answered": True}, "an answer of b came to a, which did not take it in time"),
        ({"astray": "what a sent went elsewhere"}, "what a sent went elsewhere"),
        ({"mute": True}, "nothing that b sent was seen to leave it, so it could not have answered"),
        ({"target": SILENT}, "b has not answered a ping put in at the uplink either"),
        ({"source": SILENT}, "a has not answered a ping put in at the uplink either"),
        (
            {"path": replace(UPLINK, deaf=True)},
            "nothing that is put in at nic0 is answered by any guest there",
        ),
        ({"left": False}, "what a sent never left by nic0"),
        ({"path": replace(UPLINK, exists=False)}, "the uplink nic0 is not there"),
        ({"path": replace(UPLINK, up=False)}, "the uplink nic0 is down"),
        ({"path": replace(UPLINK, carrier=False)}, "the uplink nic0 has no carrier"),
        (
            {"path": replace(UPLINK, beyond="")},
            "nobody beyond nic0 has answered, so nothing shows that frames pass it",
        ),
        ({"why_not": "no frame can be seen"}, "no frame can be seen"),
    ],
)
def test_each_part_that_is_missing_is_named(taken: dict[str, object], said: str) -> None:
    assert what(replace(SHOWN, **taken)) == said  # type: ignore[arg-type]


def test_what_need_not_pass_the_uplink_needs_nobody_beyond_it() -> None:
    assert lack("a", "b", replace(SHOWN, left=None, path=replace(UPLINK, beyond=None))) is None
    assert lack("a", "b", replace(SHOWN, path=None)) is None


def test_a_link_that_the_plan_has_cut_isolates_by_itself() -> None:
    cut = Control(SILENT, SILENT, cut="the link of a is down, as the plan says")
    assert lack("a", "b", cut) is None
    assert told("b", cut) == "the link of a is down, as the plan says"


def test_no_control_shows_nothing() -> None:
    assert what(NOT_LOOKED) == "no control was made"


def test_why_nobody_could_ask_an_end_is_said() -> None:
    target = EndControl(ControlBy.ITSELF, why="connection refused")
    assert what(replace(SHOWN, target=target)) == (
        "b has not answered its own agent's question either: connection refused"
    )
    target = EndControl(ControlBy.OTHERS, why="no end that may reach it has done so")
    assert lack("a", "b", replace(SHOWN, target=target)) == Lack(
        "nobody has reached b in this check: no end that may reach it has done so",
        "bring b up, or let a check reach it from another end",
    )


def test_what_was_seen_is_told_line_by_line() -> None:
    assert seen("a", "b", SHOWN) == (
        "question of a: left it",
        "question of a: left by nic0",
        "control of b (a ping put in at the uplink): answered after 3.0 ms",
        "control of a (who-has put in at the uplink): answered after 2.0 ms",
        "beyond nic0: 10.0.0.254 answered",
    )
    dead = replace(SHOWN, asked=False, left=False, target=SILENT, path=replace(UPLINK, beyond=""))
    assert seen("a", "b", dead)[:3] == (
        "question of a: not seen",
        "question of a: was not seen to leave by nic0",
        "control of b (a ping put in at the uplink): no answer",
    )


ENDS = st.builds(
    EndControl, st.sampled_from(ControlBy), st.none() | st.floats(0, 3), st.just("") | st.text()
)
PATHS = st.builds(
    Path,
    st.just("nic0"),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "x"]),
    st.booleans(),
)
CONTROLS = st.builds(
    Control, ENDS, ENDS, st.booleans(), st.sampled_from([None, True, False]), st.booleans(),
    st.just("") | st.text(min_size=1), st.booleans(), st.none() | PATHS, st.just(""),
    st.just("") | st.text(min_size=1),
)  # fmt: skip


@given(CONTROLS)
def test_nothing_counts_as_isolation_that_lacks_an_observation(control: Control) -> None:
    path = control.path
    passes = path is None or (
        path.exists and path.up and path.carrier and path.beyond != "" and not path.deaf
    )
    alive = control.source.after is not None and control.target.after is not None
    whole = control.asked and not control.answered and not control.astray and alive and passes
    whole = whole and not control.mute
    whole = whole and not (path and control.left is False) and not control.why_not
    assert (lack("a", "b", control) is None) == whole
