"""Signatures of digest lists, made by gpg, verified by gpgv."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.download import signature as signatures
from provisioner.image import catalogue
from provisioner.image.catalogue import CatalogueEntry
from tests.host_tools.signing import Signer

HOUSE = Path(__file__).parents[2]
LIST = b"aa  disk.qcow2\n- a line that begins with a dash\n"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Gpg's sockets must have short paths."""
    with tempfile.TemporaryDirectory(prefix="gpg-") as name:
        yield Path(name)
        Signer(Path(name), "").stop()


@pytest.fixture(scope="module")
def vendor(home: Path) -> Signer:
    return Signer.made(home, "Vendor \u202e<images@vendor.example>")


@pytest.fixture(scope="module")
def stranger(home: Path) -> Signer:
    return Signer.made(home, "Stranger <s@stranger.example>")


@pytest.fixture
def ring(vendor: Signer, tmp_path: Path) -> Path:
    path = tmp_path / "vendor.gpg"
    path.write_bytes(vendor.keyring())
    return path


def refusal(content: bytes, signature: bytes | None, ring: Path) -> str:
    with pytest.raises(VmnetError) as caught:
        signatures.verified(content, signature, ring, "LIST")
    return caught.value.what


@pytest.mark.parametrize("armour", [True, False])
def test_a_good_signature_tells_who_made_it(vendor: Signer, ring: Path, *, armour: bool) -> None:
    signed = signatures.verified(LIST, vendor.detached(LIST, armour=armour), ring, "LIST")
    assert (signed.text, signed.signer) == (LIST, "Vendor \\u202e<images@vendor.example>")
    assert len(signed.fingerprint) == 40


def test_a_keyring_in_armour_is_as_good(vendor: Signer, stranger: Signer, ring: Path) -> None:
    ring.write_bytes(stranger.keyring(armour=True) + vendor.keyring(armour=True))
    assert signatures.verified(LIST, vendor.detached(LIST), ring, "LIST").text == LIST


def test_of_a_clear_signed_list_only_the_signed_part_counts(vendor: Signer, ring: Path) -> None:
    wrapped = b"evil  disk.qcow2\n" + vendor.clear(LIST) + b"evil  disk.qcow2\n"
    signed = signatures.verified(vendor.clear(LIST), None, ring, "LIST")
    assert signed.text == LIST
    assert b"evil" not in signatures.verified(wrapped, None, ring, "LIST").text


def test_a_changed_list_is_refused(vendor: Signer, ring: Path) -> None:
    changed = LIST.replace(b"aa", b"bb")
    assert "is not good" in refusal(changed, vendor.detached(LIST), ring)
    assert "is not good" in refusal(vendor.clear(LIST).replace(b"aa ", b"bb "), None, ring)


def test_the_key_of_a_stranger_is_refused(stranger: Signer, ring: Path) -> None:
    told = f"the digest list LIST is signed with a key that is not in {ring}"
    assert refusal(LIST, stranger.detached(LIST), ring) == told
    assert refusal(stranger.clear(LIST), None, ring) == told


def test_a_good_signature_does_not_excuse_a_bad_one(vendor: Signer, ring: Path) -> None:
    good, bad = vendor.detached(LIST), vendor.detached(b"something else")
    assert "is not good" in refusal(LIST, good + bad, ring)


def test_a_second_signature_by_an_unknown_key_does_no_harm(
    vendor: Signer, stranger: Signer, ring: Path
) -> None:
    both = stranger.detached(LIST) + vendor.detached(LIST)
    assert signatures.verified(LIST, both, ring, "LIST").text == LIST


def test_a_key_that_has_expired_is_refused(home: Path, ring: Path) -> None:
    old = Signer(home, "Old <old@vendor.example>")
    past = "20200101T000000!"
    old.gpg("--faked-system-time", past, "--quick-generate-key", old.owner, "ed25519", "sign", "2d")
    signature = old.gpg("--faked-system-time", past, "--detach-sign", given=LIST)
    ring.write_bytes(old.keyring())
    assert "is not good" in refusal(LIST, signature, ring)


@pytest.mark.parametrize("signature", [b"", b"nonsense", b"-----BEGIN PGP SIGNATURE-----\n"])
def test_what_is_no_signature_is_refused(ring: Path, signature: bytes) -> None:
    assert "is not good" in refusal(LIST, signature, ring)


def test_a_list_without_the_clear_signature_that_it_should_have_is_refused(ring: Path) -> None:
    assert "is not good" in refusal(LIST, None, ring)


@pytest.mark.parametrize(
    "content", [b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!", b"-----BEGIN PGP MESSAGE-----\n"]
)
def test_a_damaged_keyring_is_told(vendor: Signer, ring: Path, content: bytes) -> None:
    ring.write_bytes(content)
    assert refusal(LIST, vendor.detached(LIST), ring) == (
        f"the keyring {ring} cannot be used: its armour is damaged"
    )


def test_keyrings_are_looked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMNET_KEYRINGS", str(tmp_path))
    assert signatures.keyring(["a.gpg", "b.gpg"]) is None
    (tmp_path / "b.gpg").touch()
    assert signatures.keyring(["a.gpg", "b.gpg"]) == tmp_path / "b.gpg"
    monkeypatch.delenv("VMNET_KEYRINGS")
    assert signatures.keyring(["no-vendor-has-this.gpg"]) is None


def test_the_keyrings_that_come_with_the_catalogue_are_the_documented_ones(home: Path) -> None:
    text = (HOUSE / "docs" / "reference" / "images.md").read_text()
    rows = dict(re.findall(r"`([a-z0-9.-]+\.gpg)` \| ((?:`[0-9A-F]{40}`(?:, )?)+) ", text))
    found = {}
    for ring in signatures.SHIPPED.iterdir():
        argv = ["gpg", "--homedir", str(home), "--show-keys", "--with-colons", str(ring)]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        keys = re.findall(r"^pub:.*\n(?:[^p].*\n)*?fpr:+([0-9A-F]{40}):", said, re.MULTILINE)
        found[ring.name] = ", ".join(f"`{key}`" for key in keys)
    assert found == rows


@pytest.mark.parametrize("entry", catalogue.packaged().images, ids=lambda entry: entry.name)
def test_each_signed_list_has_a_keyring_here(entry: CatalogueEntry) -> None:
    if entry.digests and (signature := entry.digests.signature):
        assert any((signatures.SHIPPED / name).is_file() for name in signature.keyrings)
        assert signatures.keyring(signature.keyrings)
