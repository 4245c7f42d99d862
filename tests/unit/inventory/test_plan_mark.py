"""The mark in a plan's folder as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.inventory.plan_mark import PlanMark, parsed

FULL = """\
lab
made: 1764352637
until: 1764359837
file: /srv/my plans/lab.yaml
connection: qemu:///session
words: --uplink eno1 --count 2
colour: blue
"""


def test_a_mark_of_an_older_vmnet_is_one_line() -> None:
    assert parsed("lab\n") == parsed("lab") == PlanMark("lab")
    assert str(PlanMark("lab")) == "lab\n"


def test_every_line_of_a_mark_is_read_and_written_again() -> None:
    mark = parsed(FULL)
    assert mark == PlanMark(
        *("lab", 1764352637, 1764359837, "/srv/my plans/lab.yaml", "qemu:///session"),
        words="--uplink eno1 --count 2",
        others=(("colour", "blue"),),
    )
    assert str(mark) == FULL


@pytest.mark.parametrize("line", ["made: soon", "until: -1", "until: 99999999999999", "until: ٣"])
def test_a_time_that_is_none_is_not_known(line: str) -> None:
    assert parsed(f"lab\n{line}\n") == PlanMark("lab")


@pytest.mark.parametrize(
    "uri", ["qemu+ext:///system?command=/tmp/x", "qemu+ssh://h/system", "qemu:///embed?root=/tmp"]
)
def test_a_connection_that_runs_programs_or_leaves_the_host_is_none(uri: str) -> None:
    assert parsed(f"lab\nconnection: {uri}\n") == PlanMark("lab")


def test_a_path_that_could_end_a_line_is_not_written() -> None:
    assert str(PlanMark("lab", file="/a\nuntil: 1")) == "lab\n"


@given(st.text())
def test_any_text_is_read_and_what_is_written_of_it_stays(text: str) -> None:
    written = str(parsed(f"lab\n{text}"))
    assert str(parsed(written)) == written
