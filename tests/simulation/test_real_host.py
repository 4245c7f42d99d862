"""The model says what a real host does: plans on both, step by step, in a namespace."""

import pytest

from tests.simulation.real_host import tell_on_both


@pytest.mark.parametrize("seed", range(4))
def test_the_model_and_a_real_host_come_to_the_same(seed: int) -> None:
    tell_on_both(seed)
