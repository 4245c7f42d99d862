"""A plan's block in /etc/hosts: all else stays as it is, whatever it is."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from provisioner.guest.hosts_block import BrokenMarksError, HostsBlock, found, replaced

LINES = ("10.0.0.1 a.lab a", "fd77::1 a.lab a")
BLOCK = b"# vmnet begin lab\n10.0.0.1 a.lab a\nfd77::1 a.lab a\n# vmnet end lab\n"
HOSTS = b"127.0.0.1\tlocalhost\n::1 localhost # caf\xe9\r\n"

files = st.lists(
    st.sampled_from(
        [b"127.0.0.1 x", b"", b"\t", b"\xff\xfe", b"a\r", b"# vmnet begin other", b"# vmnet end x"]
    )
).map(b"\n".join) | st.binary(max_size=60)


def test_a_block_is_added_at_the_end_and_found_there() -> None:
    data = replaced(HOSTS, "lab", LINES)
    assert data == HOSTS + BLOCK
    assert found(data, "lab") == HostsBlock("lab", LINES)
    assert found(data, "other") is None


def test_a_block_is_changed_where_it_stands() -> None:
    data = replaced(HOSTS + BLOCK + b"10.9.9.9 later\n", "lab", ("10.0.0.2 a",))
    assert data == (HOSTS + b"# vmnet begin lab\n10.0.0.2 a\n# vmnet end lab\n10.9.9.9 later\n")


@given(files, st.sampled_from(["lab", "x", "other"]))
def test_what_was_there_is_there_again_when_the_block_goes(data: bytes, plan: str) -> None:
    try:
        assume(found(data, plan) is None)
    except BrokenMarksError:
        assume(condition=False)
    once = replaced(data, plan, LINES)
    assert found(once, plan) == HostsBlock(plan, LINES)
    assert once.startswith(data)
    twice = replaced(once, plan, ("10.0.0.9 b",))
    assert replaced(twice, plan, None) == data
    assert replaced(data, plan, None) == data


@given(files)
def test_lines_that_come_behind_a_block_stay(data: bytes) -> None:
    once = replaced(data, "lab", LINES) + b"10.9.9.9 later\n"
    gone = replaced(once, "lab", None)
    assert gone.endswith(b"10.9.9.9 later\n")
    assert gone.startswith(data)


def test_two_plans_have_a_block_each() -> None:
    both = replaced(replaced(HOSTS, "lab", LINES), "lab2", LINES[:1])
    assert replaced(both, "lab", None) == replaced(HOSTS, "lab2", LINES[:1])


@pytest.mark.parametrize(
    "data",
    [
        b"# vmnet begin lab\n",
        b"# vmnet end lab\n",
        BLOCK + BLOCK,
        b"# vmnet end lab\n# vmnet begin lab\n",
        b"# vmnet begin lab\n# vmnet begin lab\n# vmnet end lab\n",
    ],
)
def test_marks_that_are_not_one_pair_prove_nothing(data: bytes) -> None:
    with pytest.raises(BrokenMarksError):
        found(data, "lab")
    with pytest.raises(BrokenMarksError):
        replaced(data, "lab", None)
