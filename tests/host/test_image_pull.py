"""Images that plans name by address or file: fetched once, proved, taken in, found again."""

import hashlib
import os
import struct
from pathlib import Path

import pytest

from provisioner.commands import image_pull
from provisioner.errors import Exit, VmnetError
from provisioner.host.image import store
from provisioner.host.system import paths
from provisioner.host.system.plan_files import Fence
from provisioner.image import catalogue
from tests.host_tools.http_server import serving, whole
from tests.host_tools.namespace import Namespace, ip

MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("trusted")


def disk() -> bytes:
    """Give a raw disk with a partition table, as a vendor's image has."""
    entry = struct.pack("<B3sB3sII", 0x80, b"", 0x83, b"", 1, MIB // 512 - 1)
    start = bytes(446) + entry + bytes(48) + b"\x55\xaa"
    return start + os.urandom(MIB - len(start))


DISK = disk()
DIGEST = hashlib.sha256(DISK).hexdigest()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("VMNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


def ignored(_done: int, _all: int) -> None:
    """Draw nothing."""


def names() -> list[str]:
    return [kept.record.name for kept in store.every(paths.store())]


def test_an_address_with_a_digest_is_fetched_proved_and_kept_once(home: Path) -> None:
    said: list[str] = []
    with serving(whole(DISK)) as server:
        url = server.url("/disk.img")
        record = image_pull.pull(url, said.append, ignored, name="mine", pin=DIGEST)
    assert (record.name, record.digest, record.format) == ("mine", DIGEST, "raw")
    assert [p for p in (home / "cache" / "downloads").iterdir() if p.suffix != ".lock"] == []
    assert names() == ["mine"]


def test_another_digest_than_the_given_one_leaves_nothing(home: Path) -> None:
    with serving(whole(DISK)) as server, pytest.raises(VmnetError) as caught:
        image_pull.pull(server.url(), lambda _: None, ignored, name="mine", pin="0" * 64)
    assert DIGEST in caught.value.what
    assert "0" * 64 in caught.value.what
    assert names() == []
    assert list((home / "cache" / "downloads").glob("*-mine")) == []


def test_a_first_use_without_a_digest_tells_it_and_ci_refuses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    with serving(whole(DISK)) as server:
        image_pull.pull(server.url(), said.append, ignored, name="mine")
        monkeypatch.setenv("CI", "true")
        with pytest.raises(VmnetError) as caught:
            image_pull.pull(server.url(), said.append, ignored, name="other")
        assert len(server.asked) == 1
    assert f"sha256:{DIGEST}" in said[-1]
    assert "this is a CI job" in caught.value.what


@pytest.fixture
def private(namespace: Namespace) -> str:  # noqa: ARG001  (the test is in it)
    """An address of a private network, where a plan may have its image from."""
    ip("addr add 10.9.8.7/32 dev lo")
    return "10.9.8.7"


@pytest.mark.parametrize("allowed", [False, True])
def test_what_only_a_connection_vouches_for_is_refused_in_ci(
    monkeypatch: pytest.MonkeyPatch, *, allowed: bool
) -> None:
    with serving(whole(DISK)) as server:
        image, sums = server.url("/disk.img"), server.url("/SUMS")
        entry = catalogue.read(
            f"images: [{{name: vendor-1, title: V, urls: ['{image}'], boot: [bios], user: me,"
            f" min_memory: 512M, digests: {{url: '{sums}', form: bare}}}}]"
        ).images[0]
        server.script = lambda talk: whole(
            f"{DIGEST}\n".encode() if talk.asked.path == "/SUMS" else DISK
        )(talk)
        monkeypatch.setattr(catalogue, "packaged", lambda: catalogue.Catalogue(images=(entry,)))
        monkeypatch.setenv("CI", "true")
        if allowed:
            monkeypatch.setenv("VMNET_ALLOW_UNSIGNED", "true")
            image_pull.pull("vendor-1", lambda _: None, ignored)
            assert names() == ["vendor-1"]
            return
        with pytest.raises(VmnetError) as caught:
            image_pull.pull("vendor-1", lambda _: None, ignored)
        assert [asked.path for asked in server.asked] == ["/SUMS"]
    assert caught.value.status is Exit.BAD_INPUT
    assert "VMNET_ALLOW_UNSIGNED=true" in str(caught.value.fix)
    assert names() == []


def test_a_plan_fetches_its_image_once_and_finds_it_again(home: Path, private: str) -> None:
    with serving(whole(DISK), private) as server:
        url = server.url("/disk.img")
        unknown = image_pull.image(Fence(home), url, DIGEST, None)
        first = image_pull.image(Fence(home), url, DIGEST, lambda _: None)
        again = image_pull.image(Fence(home), url, DIGEST, lambda _: None)
        assert len(server.asked) == 1
    assert unknown.disk == "/not-fetched-yet"
    assert first == again
    assert first.disk == str(paths.store() / f"sha256-{DIGEST}")
    assert (first.format, first.size, first.name) == ("raw", MIB, url)


@pytest.mark.parametrize("host", [None, "localhost", "[::ffff:127.0.0.1]"])
def test_a_plan_has_no_image_from_this_host(home: Path, host: str | None) -> None:
    with serving(whole(DISK)) as server:
        with pytest.raises(VmnetError, match="leads to this host or its own link") as caught:
            image_pull.image(Fence(home), server.url(host=host), DIGEST, lambda _: None)
        assert server.connections == 0
    assert caught.value.status is Exit.BAD_INPUT


def test_what_is_secret_in_an_address_is_in_no_name_and_no_record(private: str) -> None:
    with serving(whole(DISK), private) as server:
        url = server.url("/disk.img?token=s3cret").replace("https://", "https://me:s3cret@")
        found = image_pull.image(Fence(Path()), url, DIGEST, lambda _: None)
    (kept,) = store.every(paths.store())
    assert "s3cret" not in f"{found} {kept}"


def test_a_file_is_taken_in_once_and_anew_when_it_has_changed(home: Path) -> None:
    (home / "disk.img").write_bytes(DISK)
    said: list[str] = []
    first = image_pull.image(Fence(home), "file:./disk.img", "", said.append)
    assert image_pull.image(Fence(home), "file:./disk.img", "", said.append) == first
    assert len(said) == 1
    (home / "disk.img").write_bytes(changed := disk())
    after = image_pull.image(Fence(home), "file:./disk.img", "", said.append)
    assert after.disk.endswith(hashlib.sha256(changed).hexdigest())
    assert Path(first.disk).exists()  # disks may depend on it


def test_a_file_with_another_digest_is_refused_though_it_is_here(home: Path) -> None:
    (home / "disk.img").write_bytes(DISK)
    image_pull.image(Fence(home), "file:./disk.img", DIGEST, lambda _: None)
    with pytest.raises(VmnetError) as caught:
        image_pull.image(Fence(home), "file:./disk.img", "0" * 64, lambda _: None)
    assert "its SHA-256 is" in caught.value.what


def test_what_is_nowhere_is_told_with_a_way_to_get_it(home: Path) -> None:
    with pytest.raises(VmnetError) as caught:
        image_pull.image(Fence(home), "nosuch", "", None)
    assert caught.value.what == 'there is no image "nosuch"'
    with pytest.raises(VmnetError) as caught:
        image_pull.image(Fence(home), "file:./nosuch.qcow2", "", lambda _: None)
    assert caught.value.what == (
        'the image "./nosuch.qcow2" cannot be used: No such file or directory'
    )


def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(home: Path) -> None:  # noqa: ARG001
    with pytest.raises(VmnetError) as caught:
        image_pull.image(Fence(Path("/")), "file:/proc/self/mem", "", lambda _: None)
    assert caught.value.what == f"cannot read /proc/{os.getpid()}/mem: Input/output error"
    assert caught.value.status is Exit.BAD_INPUT


def test_the_catalogue_is_known_before_anything_is_fetched(home: Path) -> None:
    found = image_pull.image(Fence(home), "bookworm", "", None)
    assert (found.name, found.user, found.boot) == ("bookworm", "debian", ("bios", "uefi"))
