"""The words of `vmnet up --uplink`: the plan that they stand for, and back from a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.plan.load import oneshot
from provisioner.plan.load.loader import load

WORDS = ("eno1", "vepa", "micro", 2, "10.9.0.0/24")


def test_the_words_stand_for_a_plan_of_the_nics_name() -> None:
    plan = load(oneshot.plan_text(*WORDS), "p").plan
    assert (plan.name, [vm.name for vm in plan.vms]) == (oneshot.name_of("eno1"), ["vm1", "vm2"])
    assert (plan.networks[0].uplink, str(plan.networks[0].mode)) == ("eno1", "vepa")


def test_a_plan_is_found_again_by_the_line_of_its_words() -> None:
    line = oneshot.words(*WORDS)
    assert line == "--uplink eno1 --mode vepa --image micro --count 2 --subnet 10.9.0.0/24"
    assert oneshot.text_of(line) == oneshot.plan_text(*WORDS)


@given(st.lists(st.text(), min_size=4, max_size=4), st.integers(1, 999))
def test_any_words_are_found_again(texts: list[str], count: int) -> None:
    uplink, mode, image, subnet = texts
    line = oneshot.words(uplink, mode, image, count, subnet)
    assert oneshot.text_of(line) == oneshot.plan_text(uplink, mode, image, count, subnet)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--uplink eno1",
        "--uplink 'eno1",
        "--uplink eno1 --mode vepa --image micro --count two --subnet dhcp",
        "--uplink eno1 --mode vepa --image micro --count 2 --subnet",
        "--uplink eno1 --mode vepa --image micro --count 2 --subnet dhcp --connection x",
        "--uplink eno1 --mode vepa --image micro --set 2 --subnet dhcp",
    ],
)
def test_a_line_of_other_words_is_no_plan(line: str) -> None:
    assert oneshot.text_of(line) is None
