"""Downloads from honest servers, over lines that break."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.download.fetch import Fetched
from provisioner.host.download.limits import Limits
from provisioner.image import source
from provisioner.image.digest import Digest
from provisioner.image.source import Remote
from tests.host_tools.downloads import fetch
from tests.host_tools.http_server import (
    Script,
    Talk,
    cut_after,
    first_then,
    head,
    redirecting,
    serving,
    whole,
)

pytestmark = pytest.mark.usefixtures("trusted")

BODY = bytes(range(256)) * 2000
SHA256 = Digest("sha256", hashlib.sha256(BODY).hexdigest())
SHA512 = Digest("sha512", hashlib.sha512(BODY).hexdigest())
QUICK = Limits(connect_s=5, idle_s=5, total_s=20)


def remote(*urls: str, digest: Digest | None = SHA256) -> Remote:
    return Remote(tuple(source.address(url, plain=True) for url in urls), digest)


def silence(_talk: Talk) -> None:
    """Break off without a word."""


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_with_its_digests_and_nothing_beside_it(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serving(whole(BODY)) as server:
        got = fetch(
            remote(server.url()),
            tmp_path / "disk",
            limits=QUICK,
            progress=lambda done, total: seen.append((done, total)),
        )
    assert got == Fetched(tmp_path / "disk", (SHA256,), len(BODY), server.url())
    assert (tmp_path / "disk").read_bytes() == BODY
    assert left(tmp_path) == ["disk"]
    assert (seen[0], seen[-1]) == ((0, len(BODY)), (len(BODY), len(BODY)))


def test_only_its_owner_reads_a_download_or_a_part_of_one(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with serving(cut_after(1000, BODY)) as server, pytest.raises(VmnetError):
        fetch(remote(server.url()), folder / "disk", limits=QUICK)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"disk.part": 0o600, "disk.part.json": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with serving(whole(BODY)) as server:
        fetch(remote(server.url()), folder / "disk", limits=QUICK)
    assert stat.S_IMODE((folder / "disk").stat().st_mode) == 0o600


def test_a_vendor_who_lists_sha512_only_is_believed_by_sha512(tmp_path: Path) -> None:
    with serving(whole(BODY)) as server:
        got = fetch(remote(server.url(), digest=SHA512), tmp_path / "disk", limits=QUICK)
    assert got.digests == (SHA256, SHA512)


def test_without_a_digest_the_one_that_came_is_told(tmp_path: Path) -> None:
    with serving(whole(BODY)) as server:
        got = fetch(remote(server.url(), digest=None), tmp_path / "disk", limits=QUICK)
    assert got.digests == (SHA256,)


def test_a_chunked_body_is_complete_without_a_length(tmp_path: Path) -> None:
    def chunked(talk: Talk) -> None:
        talk.send(head(Transfer_Encoding="chunked"))
        for at in range(0, len(BODY), 100_000):
            part = BODY[at : at + 100_000]
            talk.send(f"{len(part):x}\r\n", part, "\r\n")
        talk.send("0\r\n\r\n")

    with serving(chunked) as server:
        got = fetch(remote(server.url(), digest=None), tmp_path / "disk", limits=QUICK)
    assert got.digests == (SHA256,)


def test_a_file_that_is_here_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(BODY)
    with serving(whole(BODY)) as server:
        got = fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
    assert got == Fetched(tmp_path / "disk", (SHA256,), len(BODY), server.url(), fresh=False)
    assert server.asked == []


def test_a_file_that_is_here_and_wrong_is_fetched_anew(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"damaged")
    said: list[str] = []
    with serving(whole(BODY)) as server:
        got = fetch(remote(server.url()), tmp_path / "disk", limits=QUICK, tell=said.append)
    assert got.fresh
    assert "downloading it anew" in said[0]


def test_what_is_asked_is_the_file_as_it_stands(tmp_path: Path) -> None:
    with serving(whole(BODY)) as server:
        fetch(remote(server.url("/a/disk?token=1")), tmp_path / "disk", limits=QUICK)
    (asked,) = server.asked
    assert asked.line == "GET /a/disk?token=1 HTTP/1.1"
    assert asked.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "vmnet",
        "accept-encoding": "identity",
    }


def test_a_password_goes_to_its_host_only_and_is_told_to_nobody(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(whole(BODY)) as other, serving(redirecting(other.url())) as server:
        url = server.url().replace("https://", "https://me:s3cret@") + "?token=s3cret"
        got = fetch(remote(url), tmp_path / "disk", limits=QUICK, tell=said.append)
    assert server.asked[0].headers["authorization"] == "Basic bWU6czNjcmV0"
    assert "authorization" not in other.asked[0].headers
    assert got.shown_url == server.url() + "?…"
    assert "s3cret" not in repr(got) + repr(said)


def test_a_cut_line_is_taken_up_again_where_it_broke(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(first_then(cut_after(300_000, BODY), whole(BODY))) as server:
        got = fetch(remote(server.url()), tmp_path / "disk", limits=QUICK, tell=said.append)
    assert got.digests == (SHA256,)
    assert [asked.headers.get("range") for asked in server.asked] == [None, "bytes=300000-"]
    assert server.asked[1].headers["if-range"] == '"1"'
    assert said == [
        f"{server.url()}: the connection broke off: going on at 0 MiB",
        f"going on with {server.url()} at 0 MiB",
    ]


def test_the_part_of_an_earlier_run_is_gone_on_with(tmp_path: Path) -> None:
    with serving(first_then(cut_after(300_000, BODY), silence)) as server:
        with pytest.raises(VmnetError):
            fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
        assert left(tmp_path) == ["disk.part", "disk.part.json"]
        assert (tmp_path / "disk.part").read_bytes() == BODY[:300_000]
        server.script = whole(BODY)
        fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
    assert server.asked[-1].headers["range"] == "bytes=300000-"
    assert (tmp_path / "disk").read_bytes() == BODY
    assert left(tmp_path) == ["disk"]


def test_notes_beside_a_part_keep_no_secret(tmp_path: Path) -> None:
    with serving(cut_after(1000, BODY)) as server:
        url = server.url("/disk?token=s3cret").replace("https://", "https://me:s3cret@")
        with pytest.raises(VmnetError) as caught:
            fetch(remote(url), tmp_path / "disk", limits=QUICK)
    assert "s3cret" not in (tmp_path / "disk.part.json").read_text()
    assert "s3cret" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_strong_etag_a_part_is_begun_anew(tmp_path: Path, etag: str | None) -> None:
    with serving(first_then(cut_after(300_000, BODY, etag), whole(BODY, etag))) as server:
        got = fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
    assert got.digests == (SHA256,)
    assert [asked.headers.get("range") for asked in server.asked] == [None, None]


def test_a_part_of_which_nothing_is_known_is_begun_anew(tmp_path: Path) -> None:
    with serving(whole(BODY)) as server:
        for notes in ("{}", "[]", "not JSON", '{"of": "x", "etag": "\\"1\\"", "boot": ""}'):
            (tmp_path / "disk.part").write_bytes(b"of something else")
            (tmp_path / "disk.part.json").write_text(notes)
            fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
            (tmp_path / "disk").unlink()
    assert [asked.headers.get("range") for asked in server.asked] == [None] * 4


def test_after_a_reboot_the_end_of_a_part_may_be_zeros_so_it_is_begun_anew(tmp_path: Path) -> None:
    notes = tmp_path / "disk.part.json"
    with serving(first_then(cut_after(300_000, BODY), silence)) as server:
        with pytest.raises(VmnetError):
            fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
        boot = json.loads(notes.read_text())["boot"]
        notes.write_text(notes.read_text().replace(boot, "another boot"))
        server.script = whole(BODY)
        fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
    assert "range" not in server.asked[-1].headers


def test_a_damaged_part_costs_one_more_download_and_no_more(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(first_then(cut_after(300_000, BODY), silence)) as server:
        with pytest.raises(VmnetError):
            fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
        (tmp_path / "disk.part").write_bytes(bytes(300_000))
        server.script = whole(BODY)
        got = fetch(remote(server.url()), tmp_path / "disk", limits=QUICK, tell=said.append)
    assert got.digests == (SHA256,)
    assert said[-1].endswith("was expected: downloading it from the start")


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "fifo"])
def test_a_trap_in_the_place_of_the_part_is_not_stepped_in(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    part = tmp_path / "disk.part"
    match kind:
        case "symlink":
            part.symlink_to(victim)
        case "hardlink":
            part.hardlink_to(victim)
        case _:
            os.mkfifo(part)
    with serving(whole(BODY)) as server:
        fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
    assert victim.read_text() == "mine"
    assert left(tmp_path) == ["disk", "victim"]


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with serving(whole(BODY)) as server, pytest.raises(VmnetError) as caught:
        fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
    assert "can be written to by others" in caught.value.what
    assert server.connections == 0


def missing(talk: Talk) -> None:
    talk.send(head("404 Not Found", Content_Length=0))


@pytest.mark.parametrize("bad", [missing, whole(b"stale"), cut_after(10, BODY)])
def test_the_next_mirror_helps_out(tmp_path: Path, bad: Script) -> None:
    said: list[str] = []
    with serving(bad) as first, serving(whole(BODY)) as second:
        urls = (first.url(), second.url())
        got = fetch(remote(*urls), tmp_path / "disk", limits=QUICK, tell=said.append)
    assert got.shown_url == second.url()
    assert said[-1].endswith("trying the next mirror")
    assert left(tmp_path) == ["disk"]


def test_when_no_mirror_helps_each_is_told(tmp_path: Path) -> None:
    with (
        serving(missing) as first,
        serving(whole(b"stale")) as second,
        pytest.raises(VmnetError) as caught,
    ):
        fetch(remote(first.url(), second.url()), tmp_path / "disk", limits=QUICK)
    stale = hashlib.sha256(b"stale").hexdigest()
    assert caught.value.what == (
        "no mirror has the file:\n"
        f"  {first.url()}: the server answers 404\n"
        f"  {second.url()}: the file (5 bytes) is sha256:{stale}, but {SHA256} was expected"
    )


def test_a_plain_address_is_fetched_when_a_digest_proves_it(tmp_path: Path) -> None:
    with serving(whole(BODY), tls=False) as server:
        got = fetch(remote(server.url()), tmp_path / "disk", limits=QUICK)
    assert got.shown_url == server.url()
