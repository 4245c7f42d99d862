"""Where a server may send a download to. The public host is an address in the test's namespace."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.download.limits import Limits
from provisioner.image import source as sources
from provisioner.image.digest import Digest
from provisioner.image.source import Remote
from tests.host_tools.downloads import fetch
from tests.host_tools.http_server import PUBLIC, Liar, Talk, head, redirecting, serving, whole
from tests.host_tools.namespace import Namespace, ip

pytestmark = pytest.mark.usefixtures("trusted", "addresses")

BODY = b"an image"
SHA256 = Digest("sha256", hashlib.sha256(BODY).hexdigest())
QUICK = Limits(connect_s=5, idle_s=5, total_s=20)
PRIVATE = "10.9.8.7"
METADATA = "169.254.169.254"


@pytest.fixture
def addresses(namespace: Namespace) -> None:  # noqa: ARG001  (the test is in it)
    """A public host, one of the LAN and a cloud's metadata service, all behind this loopback."""
    ip(*(f"addr add {address}/32 dev lo" for address in (PUBLIC, PRIVATE, METADATA)))


def got(server: Liar, folder: Path, host: str | None = None) -> None:
    source = Remote((sources.address(server.url(host=host), plain=True),), SHA256)
    fetch(source, folder / "disk", limits=QUICK)
    assert (folder / "disk").read_bytes() == BODY


def refusal(server: Liar, folder: Path) -> str:
    with pytest.raises(VmnetError) as caught:
        got(server, folder)
    assert list(folder.iterdir()) == []
    return caught.value.what


@contextmanager
def sent_from(address: str, to: Liar, host: str | None = None) -> Iterator[Liar]:
    with serving(redirecting(to.url(host=host)), address) as server:
        yield server


@pytest.mark.parametrize("status", ["301 A", "302 B", "303 C", "307 D", "308 E"])
def test_a_redirect_to_a_public_host_is_followed(tmp_path: Path, status: str) -> None:
    with (
        serving(whole(BODY), PUBLIC) as end,
        serving(redirecting(end.url(), status), PUBLIC) as server,
    ):
        got(server, tmp_path)


def test_a_redirect_may_be_a_path(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        (whole(BODY) if talk.asked.path == "/b/c" else redirecting("../b/c"))(talk)

    with serving(script, PUBLIC) as server:
        got(server, tmp_path)
    assert [asked.path for asked in server.asked] == ["/disk.qcow2", "/b/c"]


def test_five_redirects_are_followed_and_no_more(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        (whole(BODY) if talk.number == 6 else redirecting(f"/{talk.number}"))(talk)

    with serving(script, PUBLIC) as server:
        got(server, tmp_path)
    (tmp_path / "disk").unlink()
    with serving(redirecting("/again"), PUBLIC) as server:
        assert refusal(server, tmp_path).endswith("/again redirects more than 5 times")
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "location",
    [
        "http://192.31.196.1/disk",
        "HTTP://192.31.196.1/disk",
        "file:///etc/shadow",
        "ftp://192.31.196.1/disk",
        "gopher://192.31.196.1:25/x",
        "data:,x",
        "javascript:0",
    ],
)
def test_a_redirect_to_anything_but_https_is_refused(tmp_path: Path, location: str) -> None:
    with serving(redirecting(location), PUBLIC) as server:
        assert refusal(server, tmp_path).endswith(", which is not https")
    assert len(server.asked) == 1


@pytest.mark.parametrize("location", ["https://a b/", "https://h:99999/", "https://@/"])
def test_a_redirect_to_no_address_is_refused(tmp_path: Path, location: str) -> None:
    with serving(redirecting(location), PUBLIC) as server:
        assert "redirects to" in refusal(server, tmp_path)


def test_a_redirect_without_a_location_is_refused(tmp_path: Path) -> None:
    with serving(lambda talk: talk.send(head("302 Found", Content_Length=0)), PUBLIC) as server:
        assert refusal(server, tmp_path).endswith(" redirects to nowhere")


@pytest.mark.parametrize(
    ("first", "inside", "name"),
    [
        (PUBLIC, METADATA, None),
        (PUBLIC, PRIVATE, None),
        (PUBLIC, "127.0.0.1", None),
        (PUBLIC, "127.0.0.1", "localhost"),
        (PUBLIC, "127.0.0.1", "0.0.0.0"),  # noqa: S104  (a place to be sent to)
        (PUBLIC, "127.0.0.1", "[::ffff:127.0.0.1]"),
        (PRIVATE, METADATA, None),
        (PRIVATE, "127.0.0.1", None),
        ("127.0.0.1", METADATA, None),
    ],
)
def test_a_redirect_into_our_own_networks_is_refused_before_a_byte_is_said(
    tmp_path: Path, first: str, inside: str, name: str | None
) -> None:
    with serving(whole(BODY), inside, tls=False) as victim:
        target = f"https://{name or inside}:{victim.port}/latest/meta-data"
        with serving(redirecting(target), first) as server:
            assert "is where a redirect led, and " in refusal(server, tmp_path)
        assert victim.heard.get(timeout=5) == b""


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (PRIVATE, PRIVATE),
        (PRIVATE, PUBLIC),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", PRIVATE),
        (METADATA, METADATA),
    ],
)
def test_who_begins_inside_may_be_sent_on_inside(tmp_path: Path, first: str, then: str) -> None:
    with serving(whole(BODY), then) as end, sent_from(first, end) as server:
        got(server, tmp_path)


def test_it_is_the_first_address_that_decides_not_the_one_before(tmp_path: Path) -> None:
    with serving(whole(BODY), "127.0.0.1") as end, sent_from(PUBLIC, end) as middle:
        with sent_from("127.0.0.1", middle) as server:
            got(server, tmp_path)
        (tmp_path / "disk").unlink()
        with sent_from(PUBLIC, middle) as server:
            assert "is where a redirect led" in refusal(server, tmp_path)


def test_a_plain_server_may_send_on_to_https_only(tmp_path: Path) -> None:
    with (
        serving(whole(BODY), PUBLIC) as end,
        serving(redirecting(end.url()), PUBLIC, tls=False) as server,
    ):
        got(server, tmp_path)
    (tmp_path / "disk").unlink()
    with (
        serving(whole(BODY), PUBLIC, tls=False) as end,
        serving(redirecting(end.url()), PUBLIC, tls=False) as server,
    ):
        assert refusal(server, tmp_path).endswith(", which is not https")


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "127.1"])
def test_a_redirect_to_a_number_is_refused(tmp_path: Path, host: str) -> None:
    with serving(redirecting(f"https://{host}/"), PUBLIC) as server:
        assert refusal(server, tmp_path).endswith("which is not a valid address")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", METADATA])
def test_what_a_plan_names_is_not_asked_for_here(tmp_path: Path, host: str) -> None:
    with serving(whole(BODY), "127.0.0.1" if host == "localhost" else host) as server:
        source = Remote((sources.address(server.url(host=host), plain=True),), SHA256)
        with pytest.raises(VmnetError, match="leads to this host or its own link"):
            fetch(source, tmp_path / "disk", limits=replace(QUICK, near=False))
        fetch(source, tmp_path / "disk", limits=QUICK)


def test_a_private_host_that_a_plan_names_is(tmp_path: Path) -> None:
    with serving(whole(BODY), PRIVATE) as server:
        source = Remote((sources.address(server.url(), plain=True),), SHA256)
        fetch(source, tmp_path / "disk", limits=replace(QUICK, near=False))
