"""What another host says of an image: nothing of it becomes a file's name or a number unseen."""

import json

import pytest

from provisioner.image import record

RECORD = {
    "name": "web",
    "digest": "a" * 64,
    "format": "raw",
    "virtual_size": 9,
    "size": 9,
    "source": "/srv/web.img",
    "imported": "2026-11-30T04:00:00Z",
    "traits": {"min_memory_mib": 512, "boot": ["bios"], "user": "admin", "agent": True},
}


def test_a_record_of_another_host_is_read() -> None:
    found = record.told(json.dumps(RECORD))
    assert found
    assert (found.name, found.digest, found.size) == ("web", "a" * 64, 9)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../web"),
        ("name", "micro"),
        ("digest", "a" * 63),
        ("digest", "../a"),
        ("size", 0),
        ("size", 10**400),
        ("size", "9"),
        ("format", "vmdk"),
    ],
)
def test_a_record_that_no_image_can_have_is_none(key: str, value: object) -> None:
    assert record.told(json.dumps(RECORD | {key: value})) is None
    assert record.told("[]") is None
