"""A few cases of the crash matrix, drawn by a seed; `make test-crash` tries them all."""

import random
from collections.abc import Iterator

import pytest

from tests.crash.matrix import WHO, Case, Matrix, opened

LUCK = random.Random(16)  # noqa: S311
CASES = [
    Case("up", f"worker {LUCK.randrange(20, 120)}", LUCK.choice(WHO)),
    Case("down", f"worker {LUCK.randrange(5, 30)}", LUCK.choice(WHO)),
]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """A lab for all of them."""
    with opened() as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=str)
def test_after_a_kill_up_and_down_lead_where_they_always_do(matrix: Matrix, case: Case) -> None:
    assert matrix.tried(case) == []
