"""Which images hosts can get from others, and what the plan's digest says of them."""

from typing import Any

import pytest

from provisioner.commands.fabric.images import WantedImage
from provisioner.image.digest import Digest

DIGEST = "a" * 64


def wanted(**more: Any) -> WantedImage:  # noqa: ANN401  (of any field)
    fields = {"name": "web", "vm": "a", "pin": None, "hosts": ("h1", "h2"), "kept": None}
    return WantedImage(**{**fields, "holders": {}, **more})


@pytest.mark.parametrize(
    ("more", "lacking", "is_nowhere", "can_pass"),
    [
        ({}, ["h1", "h2"], True, True),
        ({"hosts": ("h1",)}, ["h1"], False, False),  # it fetches it by itself
        ({"holders": {"h1": DIGEST}}, ["h2"], False, True),
        ({"holders": {"h1": DIGEST, "h2": DIGEST}}, [], False, False),
        ({"holders": {"h3": DIGEST}}, ["h1", "h2"], False, True),
    ],
)
def test_an_image_passes_from_who_has_it_to_who_lacks_it(
    more: dict[str, Any],
    lacking: list[str],
    is_nowhere: bool,  # noqa: FBT001
    can_pass: bool,  # noqa: FBT001
) -> None:
    one = wanted(**more)
    assert (one.lacking, one.is_nowhere, one.can_pass) == (lacking, is_nowhere, can_pass)


def test_the_digest_of_the_plan_is_that_of_the_content_or_nothing_is_passed() -> None:
    assert wanted().is_meant(DIGEST)
    assert wanted(pin=Digest("sha256", DIGEST)).is_meant(DIGEST)
    assert not wanted(pin=Digest("sha256", "b" * 64)).is_meant(DIGEST)
    assert not wanted(pin=Digest("sha512", "a" * 128)).is_meant(DIGEST)
