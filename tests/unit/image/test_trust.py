"""Images that nothing proves."""

import pytest

from provisioner.image import trust
from provisioner.image.digest import Digest


@pytest.mark.parametrize(
    ("value", "ci"),
    [("true", True), ("1", True), ("True", True), ("false", False), ("0", False), ("", False)],
)
def test_ci_says_so_itself(value: str, *, ci: bool) -> None:
    assert trust.in_ci({"CI": value}) is ci
    assert not trust.in_ci({})


@pytest.mark.parametrize(
    ("proved", "ci", "refused"),
    [(True, True, False), (True, False, False), (False, False, False), (False, True, True)],
)
def test_only_a_ci_job_must_have_a_proof(*, proved: bool, ci: bool, refused: bool) -> None:
    assert bool(trust.refusal("https://h/x", proved=proved, ci=ci)) is refused


def test_a_first_use_tells_how_to_have_the_same_again() -> None:
    found = Digest("sha256", "a" * 64)
    assert trust.notice("https://h/x", found) == (
        f"nothing proved https://h/x: this time it is {found}; "
        f"to get the same again, write https://h/x@{found}"
    )
