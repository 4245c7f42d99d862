"""`vmnet image receive`: an image of another host, whole or torn, as it is or as it is not."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_colours import VMNET
from tests.cli.test_image import Room, disk

CONTENT = disk()
DIGEST = hashlib.sha256(CONTENT).hexdigest()
RECORD = {
    "name": "web",
    "digest": DIGEST,
    "format": "raw",
    "virtual_size": len(CONTENT),
    "size": len(CONTENT),
    "source": "/srv/web.img",
    "imported": "2026-11-30T04:00:00Z",
    "traits": {"min_memory_mib": 512, "boot": ["bios"], "user": "admin", "agent": True},
}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def received(room: Room, content: bytes, *words: str, status: int = 0) -> tuple[str, str]:
    """Run the command with this standard input."""
    hidden = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /var/lib; exec "$@"', "sh")
    ran = subprocess.run(
        [*hidden, *VMNET, "image", "receive", json.dumps(RECORD), *words],
        env=room.env,
        input=content,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == status, ran.stderr.decode()
    return ran.stdout.decode(), ran.stderr.decode()


def test_a_torn_image_is_gone_on_with_and_kept_when_it_is_whole(room: Room) -> None:
    assert received(room, b"", "--ask") == ("0\n", "")
    _, told = received(room, CONTENT[:300_000], status=6)
    assert f"{len(CONTENT) - 300_000:,} of {len(CONTENT):,} bytes of the image web" in told
    assert room.contents() == []
    assert received(room, b"", "--ask") == ("300000\n", "")
    assert received(room, CONTENT[300_000:])[0] == f"web, sha256:{DIGEST} has come\n"
    assert (room.store / f"sha256-{DIGEST}").read_bytes() == CONTENT
    (one,) = [image for image in room.listed() if image["name"] == "web"]
    assert (one["name"], one["sha256"], one["user"]) == ("web", DIGEST, "admin")
    assert list((room.path / "cache" / "downloads").iterdir()) == []


def test_an_image_that_is_here_is_not_taken_again(room: Room) -> None:
    received(room, CONTENT)
    assert received(room, b"", "--ask") == (f"{len(CONTENT)}\n", "")
    assert received(room, b"")[0] == f"web, sha256:{DIGEST} is here\n"


def test_content_of_another_digest_is_refused_and_removed(room: Room) -> None:
    other = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    _, told = received(room, other, status=2)
    assert f"not {DIGEST}" in told
    assert room.contents() == []
    assert received(room, b"", "--ask") == ("0\n", "")


def test_what_is_no_record_is_refused(room: Room) -> None:
    _, told = room.image("receive", '{"name": "../web"}', status=2)
    assert "is no record of an image" in told
