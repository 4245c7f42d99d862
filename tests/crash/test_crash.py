"""A few cases of the crash matrix, others for each day; `make test-crash` tries them all."""

import random
import time
from collections.abc import Iterator

import pytest

from tests.crash.matrix import MISSED, WHO, Case, Matrix, opened

SEED = int(time.time()) // 86400  # the day: a failure tells its cases
LUCK = random.Random(SEED)  # noqa: S311
CASES = [
    Case("up", f"worker {LUCK.randrange(20, 180)}", LUCK.choice(WHO)),
    Case("down", f"worker {LUCK.randrange(5, 60)}", LUCK.choice(WHO)),
]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """A lab for all of them."""
    with opened() as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=str)
def test_after_a_kill_up_and_down_lead_where_they_always_do(matrix: Matrix, case: Case) -> None:
    assert matrix.tried(case) in ([], [MISSED])  # it may have done less today
