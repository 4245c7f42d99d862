"""Names of tests' labs, and which ends of a test are failures."""

import re

import pytest
from _pytest.outcomes import Skipped

from provisioner.plan import scalars
from provisioner.testing.labs import Suffix, is_failure

RUN = "0123456789abcdef"


def test_a_name_has_the_worker_the_run_and_a_number() -> None:
    assert Suffix("gw3", RUN).name("pair", 2) == "pair-gw3-012345-2"
    assert Suffix("", RUN).name("pair", 2) == "pair-012345-2"


@pytest.mark.parametrize("plan", ["a", "x" * 32, "web-shop-with-a-very-long-name-1", "a-" * 16])
@pytest.mark.parametrize("worker", ["", "gw0", "gw127"])
def test_a_name_of_any_plan_can_name_a_plan(plan: str, worker: str) -> None:
    name = Suffix(worker, RUN).name(plan.rstrip("-"), 1234)
    assert scalars.plan_name(name) == name
    assert re.search(r"[a-z0-9]-(gw[0-9]+-)?012345-1234$", name)


def test_labs_of_one_plan_have_different_names() -> None:
    suffix = Suffix("gw0", RUN)
    assert len({suffix.name("x" * 32, number) for number in range(100)}) == 100


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (AssertionError(), True),
        (pytest.fail.Exception("no"), True),
        (Skipped("later"), False),
        (pytest.xfail.Exception("known"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_a_skip_and_an_interrupt_are_no_failures(error: BaseException, failed: bool) -> None:  # noqa: FBT001
    assert is_failure(error) is failed
