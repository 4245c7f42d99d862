"""Servers that lie: about lengths, parts, encodings, digests, and about being there at all."""

import gc
import gzip
import hashlib
import time
from contextlib import suppress
from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.host.download.limits import Limits
from provisioner.image import source as sources
from provisioner.image.digest import Digest
from provisioner.image.source import Remote
from tests.host_tools.downloads import fetch
from tests.host_tools.http_server import Script, Talk, cut_after, first_then, head, serving, whole

pytestmark = pytest.mark.usefixtures("trusted")

BODY = bytes(range(256)) * 2000
SHA256 = Digest("sha256", hashlib.sha256(BODY).hexdigest())
QUICK = Limits(max_bytes=1 << 20, connect_s=5, idle_s=5, total_s=20)
IMPATIENT = Limits(connect_s=0.4, idle_s=0.4, total_s=20)


def error_of(
    script: Script, folder: Path, digest: Digest | None = SHA256, limits: Limits = QUICK
) -> VmnetError:
    """What a download from such a server ends with; `SERVER` stands for its address."""
    with serving(script) as server, pytest.raises(VmnetError) as caught:
        fetch(Remote((sources.address(server.url()),), digest), folder / "disk", limits=limits)
    assert not (folder / "disk").exists()
    caught.value.what = caught.value.what.replace(server.url(), "SERVER")
    return caught.value


def saying(body: bytes, status: str = "200 OK", **headers: object) -> Script:
    return lambda talk: talk.send(head(status, **headers), body)


def test_a_body_shorter_than_its_length_is_no_file(tmp_path: Path) -> None:
    error = error_of(saying(b"short", Content_Length=1000), tmp_path, None)
    assert error.what == "SERVER: the connection broke off"


def test_a_body_longer_than_its_length_has_the_wrong_digest(tmp_path: Path) -> None:
    error = error_of(saying(BODY, Content_Length=1000), tmp_path)
    found = hashlib.sha256(BODY[:1000]).hexdigest()
    assert error.what == (
        f"SERVER: the file (1000 bytes) is sha256:{found}, but {SHA256} was expected"
    )
    assert error.status == Exit.HOST_CANNOT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", ["-5", "5, 6", "0x10", "a\x1b[2J", "9" * 30])
def test_a_length_that_is_no_number_is_refused(tmp_path: Path, length: str) -> None:
    error = error_of(saying(BODY, Content_Length=length), tmp_path)
    assert "\x1b" not in error.what
    assert error.what.startswith("SERVER: ")


def open_sockets() -> set[Path]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # of the iteration itself
            found.add(descriptor.readlink())
    return {path for path in found if path.name.startswith("socket:")}


def test_a_refused_reply_leaves_no_connection_open(tmp_path: Path) -> None:
    gc.disable()
    try:
        before = open_sockets()
        error = error_of(saying(BODY, Content_Length="5, 6"), tmp_path)
        assert "5, 6" in error.what
        assert open_sockets() - before == set()
    finally:
        gc.enable()


def test_a_body_without_end_is_stopped_at_the_limit(tmp_path: Path) -> None:
    def endless(talk: Talk) -> None:
        talk.send(head())
        while not talk.stopped.is_set():
            talk.send(bytes(65536))

    error = error_of(endless, tmp_path)
    assert "but 1 MiB is the limit" in error.what
    assert list(tmp_path.iterdir()) == []


def test_a_length_beyond_the_limit_is_refused_before_a_byte_comes(tmp_path: Path) -> None:
    error = error_of(saying(b"", Content_Length=5 << 30), tmp_path)
    assert error.what == "SERVER: the file has 5120 MiB, but 1 MiB is the limit"


def test_a_length_that_does_not_fit_the_disk_is_refused_before_a_byte_comes(
    tmp_path: Path,
) -> None:
    error = error_of(
        saying(b"", Content_Length=1 << 60), tmp_path, limits=Limits(max_bytes=1 << 61)
    )
    assert "is full: 1099511627792 MiB are needed, " in error.what
    assert error.status == Exit.HOST_CANNOT


def test_a_body_of_no_told_length_is_not_taken_without_a_digest(tmp_path: Path) -> None:
    error = error_of(saying(BODY), tmp_path, None)
    assert "it does not say how long the file is" in error.what
    assert error.fix == "give the digest: SOURCE@sha256:HEX"


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    def silent(talk: Talk) -> None:
        talk.hold()

    began = time.monotonic()
    error = error_of(silent, tmp_path, limits=IMPATIENT)
    assert error.what == "SERVER: it sends less than 4096 bytes in 0.4 s"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("where", ["head", "body", "chunk"])
def test_a_server_that_trickles_is_as_good_as_silent(tmp_path: Path, where: str) -> None:
    def trickling(talk: Talk) -> None:
        match where:
            case "head":
                talk.drip(head(Content_Length=len(BODY)).encode() * 50, 0.1)
            case "body":
                talk.send(head(Content_Length=len(BODY)))
                talk.drip(BODY, 0.1)
            case _:
                talk.send(head(Transfer_Encoding="chunked"))
                talk.drip(b"0" * 1000, 0.1)

    began = time.monotonic()
    error = error_of(trickling, tmp_path, limits=IMPATIENT)
    assert error.what == "SERVER: it sends less than 4096 bytes in 0.4 s"
    assert time.monotonic() - began < 5


def test_a_server_that_is_just_quick_enough_runs_into_the_end(tmp_path: Path) -> None:
    def slow(talk: Talk) -> None:
        talk.send(head(Content_Length=len(BODY)))
        for at in range(0, len(BODY), 5000):
            talk.send(BODY[at : at + 5000])
            if talk.stopped.wait(0.1):
                return

    error = error_of(slow, tmp_path, limits=Limits(idle_s=5, total_s=1))
    assert error.what == "SERVER: it is not done after 1 s"


def test_a_server_that_breaks_off_again_and_again_is_given_up(tmp_path: Path) -> None:
    def stingy(talk: Talk) -> None:
        first = int(talk.asked.headers.get("range", "bytes=0-")[6:-1])
        told = f"bytes {first}-{len(BODY) - 1}/{len(BODY)}"
        status = "206 Partial" if first else "200 OK"
        length = len(BODY) - first
        headers = head(status, ETag='"1"', Content_Length=length, Content_Range=told)
        talk.send(headers, BODY[first : first + 5000])

    with serving(stingy) as server:
        source = Remote((sources.address(server.url()),), SHA256)
        with pytest.raises(VmnetError) as caught:
            fetch(source, tmp_path / "disk", limits=Limits(tries=5))
    assert caught.value.what.endswith("the connection broke off")
    assert len(server.asked) == 5


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br", "identity, gzip", "\x9b2J"])
def test_an_encoded_body_is_refused_unread(tmp_path: Path, encoding: str) -> None:
    bomb = gzip.compress(bytes(10 << 20))
    error = error_of(saying(bomb, Content_Encoding=encoding, Content_Length=len(bomb)), tmp_path)
    assert error.what.endswith(", which vmnet did not ask for")
    assert error.what.isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "reply",
    [
        "HTTP/1.1 200 OK\r\nX: " + "x" * 70_000 + "\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + "".join(f"X-{i}: 1\r\n" for i in range(200)) + "\r\n",
        "HTTP/1.1 " + "2" * 70_000 + "\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 banana\r\n\r\n",
    ],
    ids=["long header", "many headers", "long status", "ssh", "banana"],
)
def test_what_is_not_http_is_refused(tmp_path: Path, reply: str) -> None:
    error = error_of(lambda talk: talk.send(reply), tmp_path)
    assert error.what.startswith("SERVER: it does not keep to HTTP: ")


@pytest.mark.parametrize("status", ["204 No", "301 Moved", "403 No", "404 No", "500 Oh", "999 X"])
def test_any_other_status_is_no_file(tmp_path: Path, status: str) -> None:
    error = error_of(saying(b"", status, Content_Length=0), tmp_path)
    assert error.what.startswith("SERVER")
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    told = {"Content_Range": "bytes 0-9/10", "Content_Length": 10}
    error = error_of(saying(b"0123456789", "206 Partial", **told), tmp_path)
    assert error.what == "SERVER: it sent a part of the file although the whole was asked for"


def resumed(answer: Script, folder: Path) -> list[str | None]:
    """Break off, answer the request for the rest like this, serve the whole file after that.

    The file must be right in the end. Gives the ranges that were asked for.
    """

    def script(talk: Talk) -> None:
        scripts = {1: cut_after(300_000, BODY), 2: answer}
        scripts.get(talk.number, whole(BODY))(talk)

    with serving(script) as server:
        fetch(Remote((sources.address(server.url()),), SHA256), folder / "disk", limits=QUICK)
    assert (folder / "disk").read_bytes() == BODY
    return [asked.headers.get("range") for asked in server.asked]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": "bytes 0-511999/512000", "Content_Length": 512_000},
        {"Content_Range": "bytes 299999-511999/512000"},
        {"Content_Range": "bytes 300000-400000/512000"},
        {"Content_Range": "bytes 300000-299999/512000"},
        {"Content_Range": "bytes 300000-599999/600000"},
        {"Content_Range": "bytes 300000-511999/512000", "ETag": '"2"'},
        {"Content_Range": "bytes 300000-511999/512000", "Content_Length": 5},
        {"Content_Range": "lines 300000-511999/512000"},
        {"Content_Range": "bytes */512000"},
        {"Content_Type": "multipart/byteranges; boundary=x"},
    ],
    ids=lambda headers: " ".join(map(str, headers.values())),
)
def test_a_wrong_part_is_not_joined_on(tmp_path: Path, headers: dict[str, object]) -> None:
    answer = saying(BODY, "206 Partial", **{"ETag": '"1"', **headers})
    assert resumed(answer, tmp_path) == [None, "bytes=300000-", None]


def test_a_part_whose_bytes_are_others_is_found_out_by_the_digest(tmp_path: Path) -> None:
    told = {"Content_Range": "bytes 300000-511999/512000", "Content_Length": 212_000}
    answer = saying(bytes(212_000), "206 Partial", ETag='"1"', **told)
    assert resumed(answer, tmp_path) == [None, "bytes=300000-", None]


def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path: Path) -> None:
    answer = whole(BODY, '"2"')
    assert resumed(answer, tmp_path) == [None, "bytes=300000-"]


def test_a_part_that_the_server_has_no_more_of_is_begun_anew(tmp_path: Path) -> None:
    answer = saying(b"", "416 Range", Content_Range="bytes */1000", Content_Length=0)
    assert resumed(answer, tmp_path) == [None, "bytes=300000-", None]


def test_a_server_that_only_ever_says_416_is_given_up(tmp_path: Path) -> None:
    never = saying(b"", "416 Range", Content_Length=0)
    error = error_of(first_then(cut_after(300_000, BODY), never), tmp_path)
    assert error.what == "SERVER: the server answers 416"


def test_a_certificate_of_somebody_else_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    error = error_of(whole(BODY), tmp_path)
    assert "certificate" in error.what


def test_a_host_that_is_not_there_is_told(tmp_path: Path) -> None:
    with serving(whole(BODY)) as server:
        url = server.url()
    with pytest.raises(VmnetError) as caught:
        fetch(Remote((sources.address(url),), SHA256), tmp_path / "disk", limits=QUICK)
    assert "Connection refused" in caught.value.what
    unknown = sources.address("https://nowhere.invalid/disk")
    with pytest.raises(VmnetError) as caught:
        fetch(Remote((unknown,), SHA256), tmp_path / "disk", limits=QUICK)
    assert caught.value.what == "https://nowhere.invalid/disk: its name cannot be resolved"
