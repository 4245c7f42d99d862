"""What vmnet link says of a NIC: how its link is, and what undoes it."""

import pytest

from provisioner.commands.access.link import LinkState
from provisioner.network.impairment import Found

NOTHING = Found("", 0)
LOSSY = Found("loss 50%", 3)


@pytest.mark.parametrize(
    ("up", "found", "told"),
    [
        (True, NOTHING, "up; nothing is done to it"),
        (True, LOSSY, "up; loss 50%; 3 frames dropped so far"),
        (False, NOTHING, "down; it is up again after: vmnet link a.0 up"),
        (
            False,
            LOSSY,
            "down; it is up again after: vmnet link a.0 up; loss 50%; 3 frames dropped so far",
        ),
    ],
)
def test_a_link_is_told_with_what_undoes_it(*, up: bool, found: Found, told: str) -> None:
    assert str(LinkState("a.0", "mvt1", up, found)) == f"a.0 (mvt1): {told}"
