"""What proves an image, asked of servers that publish lists of digests."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.download import proof as proofs
from provisioner.host.download.limits import Limits
from provisioner.host.download.proof import Proof
from provisioner.image import catalogue
from provisioner.image.catalogue import CatalogueEntry
from provisioner.image.digest import Digest
from provisioner.image.source import Remote
from tests.host_tools.downloads import fetch
from tests.host_tools.http_server import Liar, Script, Talk, head, serving, whole
from tests.host_tools.signing import Signer

pytestmark = pytest.mark.usefixtures("trusted")

BODY = b"an image"
SHA256 = Digest("sha256", hashlib.sha256(BODY).hexdigest())
LIST = f"# disk.qcow2: 8 bytes\nSHA256 (disk.qcow2) = {SHA256.hex}\n".encode()
QUICK = Limits(max_bytes=1 << 16, connect_s=5, idle_s=5, least_bytes=1, total_s=20)


@pytest.fixture(scope="module")
def vendor() -> Iterator[Signer]:
    with tempfile.TemporaryDirectory(prefix="gpg-") as name:
        signer = Signer.made(Path(name), "Vendor <images@vendor.example>")
        yield signer
        signer.stop()


@pytest.fixture
def keyrings(vendor: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VMNET_KEYRINGS", str(tmp_path))
    (tmp_path / "vendor.gpg").write_bytes(vendor.keyring())
    return tmp_path


def files(**contents: bytes) -> Script:
    """Serve these by the last part of the path, dots written as underscores."""

    def script(talk: Talk) -> None:
        content = contents.get(talk.asked.path.rpartition("/")[2].replace(".", "_"))
        if content is None:
            talk.send(head("404 Not Found", Content_Length=0))
        else:
            whole(content)(talk)

    return script


def entry(server: Liar, signature: str = "") -> CatalogueEntry:
    return catalogue.read(
        f"images: [{{name: vendor-1, title: V, urls: [{server.url('/disk.qcow2')}],"
        f" digests: {{url: {server.url('/SUMS')}{signature}}},"
        " boot: [bios], user: me, min_memory: 512M}]"
    ).images[0]


def detached(server: Liar) -> str:
    return f", signature: {{url: {server.url('/SUMS.gpg')}, keyrings: [other.gpg, vendor.gpg]}}"


CLEAR = ", signature: {keyrings: [vendor.gpg]}"


def test_a_list_that_nobody_signs_is_checksum_only(tmp_path: Path) -> None:
    with serving(files(SUMS=LIST, disk_qcow2=BODY)) as server:
        proof = proofs.of_entry(entry(server), limits=QUICK)
        got = fetch(Remote(entry(server).urls, proof.digest), tmp_path / "disk")
    assert proof.digest == SHA256
    assert proof.message.startswith("checksum only, over https from 127.0.0.1: ")
    assert got.digests == (SHA256,)


def test_a_detached_signature_is_verified(vendor: Signer, keyrings: Path) -> None:
    with serving(files(SUMS=LIST, SUMS_gpg=vendor.detached(LIST))) as server:
        proof = proofs.of_entry(entry(server, detached(server)), limits=QUICK)
    assert proof.digest == SHA256
    assert proof.message.startswith("signed by Vendor <images@vendor.example> (")
    assert proof.message.endswith(f", in {keyrings}/vendor.gpg)")


@pytest.mark.usefixtures("keyrings")
def test_a_clear_signed_list_is_verified(vendor: Signer) -> None:
    with serving(files(SUMS=vendor.clear(LIST))) as server:
        proof = proofs.of_entry(entry(server, CLEAR), limits=QUICK)
    assert proof.digest == SHA256
    assert proof.message.startswith("signed by Vendor <images@vendor.example> (")


def test_without_the_keyring_the_armour_is_taken_off_and_it_is_said(
    vendor: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMNET_KEYRINGS", str(tmp_path))
    with serving(files(SUMS=vendor.clear(LIST))) as server:
        proof = proofs.of_entry(entry(server, CLEAR), limits=QUICK)
    assert proof == Proof(
        SHA256,
        "checksum only, over https from 127.0.0.1: "
        "there is no keyring vendor.gpg to verify it with",
        is_proved=False,
    )


@pytest.mark.usefixtures("keyrings")
def test_a_bad_signature_is_never_less_than_an_error(vendor: Signer) -> None:
    forged = LIST.replace(SHA256.hex.encode(), b"0" * 64)
    for signature in (vendor.detached(LIST), b"", b"none"):
        with (
            serving(files(SUMS=forged, SUMS_gpg=signature)) as server,
            pytest.raises(VmnetError) as caught,
        ):
            proofs.of_entry(entry(server, detached(server)), limits=QUICK)
        assert "is not good" in caught.value.what


@pytest.mark.usefixtures("keyrings")
def test_a_signature_that_is_not_there_is_never_less_than_an_error() -> None:
    with serving(files(SUMS=LIST)) as server, pytest.raises(VmnetError) as caught:
        proofs.of_entry(entry(server, detached(server)), limits=QUICK)
    assert caught.value.what.endswith("/SUMS.gpg: the server answers 404")


@pytest.mark.usefixtures("keyrings")
def test_what_stands_outside_of_the_signed_part_does_not_count(vendor: Signer) -> None:
    evil = f"SHA256 (disk.qcow2) = {'0' * 64}\n".encode()
    with serving(files(SUMS=evil + vendor.clear(LIST))) as server:
        assert proofs.of_entry(entry(server, CLEAR), limits=QUICK).digest == SHA256


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"<html>not here</html>",
        b"0123  disk.qcow2\n",
        LIST + f"SHA256 (disk.qcow2) = {'0' * 64}\n".encode(),
        f"{SHA256.hex}  ../disk.qcow2\n".encode(),
        f"{SHA256.hex}  other.qcow2\n".encode(),
    ],
)
def test_a_list_that_is_strange_proves_nothing(content: bytes) -> None:
    with serving(files(SUMS=content)) as server, pytest.raises(VmnetError) as caught:
        proofs.of_entry(entry(server), limits=QUICK)
    assert caught.value.what.startswith(f"the digest list https://127.0.0.1:{server.port}/SUMS ")


def test_a_list_without_end_is_stopped() -> None:
    def endless(talk: Talk) -> None:
        talk.send(head())
        while not talk.stopped.is_set():
            talk.send(bytes(65536))

    with serving(endless) as server, pytest.raises(VmnetError) as caught:
        proofs.of_entry(entry(server), limits=QUICK)
    assert caught.value.what.endswith("it is longer than 65536 bytes")


def test_a_pinned_digest_asks_nobody() -> None:
    cirros = catalogue.find("cirros")
    assert cirros
    proof = proofs.of_entry(cirros)
    assert proof == Proof(cirros.digest, f"the catalogue pins cirros-0.6.3: {cirros.digest}")
