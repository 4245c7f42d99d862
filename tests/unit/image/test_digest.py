"""Digests, and the lists of them that vendors publish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import Exit, VmnetError
from provisioner.image.digest import Digest, Form, by_length, digest, listed, sha256

A256, B256 = "a" * 64, "b" * 64
A512 = "a" * 128
SIGNED = f"""-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

# disk.qcow2: 555 bytes
SHA256 (disk.qcow2) = {A256}
- -----
-----BEGIN PGP SIGNATURE-----

iHUEARYKAB0WIQ
=abcd
-----END PGP SIGNATURE-----
""".replace("- -----\n", "")


def complaint(text: str, name: str = "disk.qcow2", form: Form = Form.NAMED) -> str:
    with pytest.raises(VmnetError) as caught:
        listed(text, name, form=form, list_name="LIST")
    assert caught.value.status == Exit.BAD_INPUT
    return caught.value.what.removeprefix("the digest list LIST ")


@pytest.mark.parametrize(
    "text",
    [
        f"{A256}  disk.qcow2\n",
        f"{A256} *disk.qcow2\n",
        f"{A256.upper()}  ./disk.qcow2",
        f"{B256}  other.qcow2\r\n{A256}  disk.qcow2\r\n",
        f"SHA256 (disk.qcow2) = {A256}\n",
        f"# disk.qcow2: 1 bytes\n\nSHA256 (disk.qcow2) = {A256}\n",
        f"MD5 (disk.qcow2) = {'a' * 32}\nSHA256 (disk.qcow2) = {A256}\n",
        f"SHA1 (disk.qcow2) = {'a' * 40}\nSHA256 (disk.qcow2) = {A256}\n",
        f"{A256}  disk.qcow2\n{A256}  disk.qcow2\n",
        f"{A256}  disk.qcow2\n{B256}  sub/disk.qcow2\n",
        SIGNED,
        SIGNED.replace("\n", "\r\n"),
    ],
)
def test_all_the_vendors_ways_of_writing_are_read(text: str) -> None:
    assert listed(text, "disk.qcow2", form=Form.NAMED, list_name="LIST") == Digest("sha256", A256)


def test_the_number_of_digits_tells_the_algorithm() -> None:
    text = f"{A512}  disk.qcow2\n"
    assert listed(text, "disk.qcow2", form=Form.NAMED, list_name="LIST") == Digest("sha512", A512)
    assert listed(A512 + "\n", "x", form=Form.BARE, list_name="LIST") == Digest("sha512", A512)


def test_of_two_algorithms_the_longer_one_is_taken() -> None:
    text = f"SHA256 (disk.qcow2) = {A256}\nSHA512 (disk.qcow2) = {A512}\n"
    assert listed(text, "disk.qcow2", form=Form.NAMED, list_name="LIST") == Digest("sha512", A512)


def test_a_list_of_one_file_may_call_it_by_another_name() -> None:
    text = f"{A256}  disk-Build16.29.qcow2\n"
    assert listed(text, "disk.qcow2", form=Form.SOLE, list_name="LIST") == Digest("sha256", A256)
    assert complaint(text) == 'has no sha256 or sha512 digest of "disk.qcow2"'
    two = text + f"{B256}  disk.qcow2\n"
    assert complaint(two, form=Form.SOLE) == "names several files where one was expected"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", 'has no sha256 or sha512 digest of "disk.qcow2"'),
        (f"{A256}  disk.qcow\n", 'has no sha256 or sha512 digest of "disk.qcow2"'),
        (f"{A256}  DISK.qcow2\n", 'has no sha256 or sha512 digest of "disk.qcow2"'),
        (f"{A256}  a/disk.qcow2\n", 'has no sha256 or sha512 digest of "disk.qcow2"'),
        (f"{A256}\n", 'has no sha256 or sha512 digest of "disk.qcow2"'),
        (f"MD5 (disk.qcow2) = {'a' * 32}", 'has no sha256 or sha512 digest of "disk.qcow2"'),
        (
            f"{A256}  disk.qcow2\n{B256} *disk.qcow2\n",
            'gives two different sha256 digests for "disk.qcow2"',
        ),
        (
            f"{A256}  disk.qcow2\nSHA256 (./disk.qcow2) = {B256}\n",
            'gives two different sha256 digests for "disk.qcow2"',
        ),
        (f"{A256}  ../disk.qcow2\n", 'names a file outside of its folder: "../disk.qcow2"'),
        (f"{A256}  /disk.qcow2\n", 'names a file outside of its folder: "/disk.qcow2"'),
        (f"{A256}  a/../disk.qcow2\n", 'names a file outside of its folder: "a/../disk.qcow2"'),
        (f"{A256}  a\\b\n", 'names a file outside of its folder: "a\\b"'),
        (f"{'a' * 63}  disk.qcow2\n", None),
        (f"{'a' * 65}  disk.qcow2\n", None),
        (f"SHA512 (disk.qcow2) = {A256}\n", None),
        (f"SHA256 (disk.qcow2) = {A512}\n", None),
        (f"SHA3-256 (disk.qcow2) = {A256}\n", None),
        (f"MD5 (disk.qcow2) = {A256}\n", None),
    ],
)
def test_a_list_that_is_not_certain_is_refused(text: str, what: str | None) -> None:
    told = complaint(text)
    if what is None:
        assert told.startswith("has a digest of the wrong length: ")
    else:
        assert told == what


@pytest.mark.parametrize(
    "line",
    ["<html>", f"{A256} disk.qcow2", f"\\{A256}  disk.qcow2", f"SHA256(disk.qcow2)= {A256}", "a b"],
)
def test_a_line_that_is_no_digest_spoils_the_list(line: str) -> None:
    assert complaint(f"{A256}  disk.qcow2\n{line}\n").startswith(
        "has a line that is not a digest: "
    )


@pytest.mark.parametrize("hidden", ["\x00", "\x1b[2J", "\u202e", "\r\r", "\x85", "\ufeff"])
def test_invisible_characters_spoil_the_list(hidden: str) -> None:
    told = complaint(f"{A256}  disk.qcow2{hidden}\n")
    assert told.startswith("holds the invisible characters ")
    assert told.isprintable()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"{B256}  disk.qcow2\n" + SIGNED, "has text outside of its signed part"),
        (SIGNED + f"{B256}  disk.qcow2\n", "has text outside of its signed part"),
        (SIGNED + SIGNED, "has text outside of its signed part"),
        (SIGNED.replace("-----END", "-----and"), "breaks off inside its signature"),
        (SIGNED.partition("-----BEGIN PGP SIGNATURE")[0], "breaks off inside its signature"),
        (
            SIGNED.replace("Hash: SHA256", f"{B256}  disk.qcow2"),
            "has headers in its armour that do not belong there",
        ),
        ("-----BEGIN PGP SIGNATURE-----\n", "has a signature but no signed part"),
    ],
)
def test_what_is_outside_of_the_armour_is_not_believed(text: str, what: str) -> None:
    assert complaint(text) == what


def test_a_list_without_end_is_refused() -> None:
    assert complaint("#\n" * 30_000) == "has more than 20000 lines"


def test_a_line_in_armour_may_begin_with_a_dash() -> None:
    text = SIGNED.replace("SHA256 (disk.qcow2)", "- SHA256 (disk.qcow2)")
    assert listed(text, "disk.qcow2", form=Form.NAMED, list_name="LIST") == Digest("sha256", A256)


@pytest.mark.parametrize("text", [A256, A256.upper(), f"sha256:{A256}", f" SHA256:{A256}\n"])
def test_a_digest_is_taken_as_people_paste_it(text: str) -> None:
    assert digest(text) == Digest("sha256", A256)
    assert str(digest(text)) == f"sha256:{A256}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "sha256:", "md5:" + "a" * 32, "a" * 32, f"sha512:{A256}", f"sha256:{A512}", "g" * 64),
        *(f"sha256:{A256}:", f"x:sha256:{A256}", f"sha256: {A256}", "\u0660" * 64),
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(VmnetError) as caught:
        digest(text)
    assert caught.value.status == Exit.BAD_INPUT


@given(st.text(), st.sampled_from(Form))
def test_no_text_breaks_the_reader(text: str, form: Form) -> None:
    try:
        found = listed(text, "disk.qcow2", form=form, list_name="LIST")
    except VmnetError:
        return
    assert by_length(found.hex) == found


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:xyz", "md5:" + "0" * 32, "0" * 63, A512])
def test_what_is_not_a_sha256_is_refused(text: str) -> None:
    with pytest.raises(VmnetError, match="is not a SHA-256"):
        sha256(text)


@pytest.mark.parametrize("text", [A256, A256.upper(), f"sha256:{A256}", f" SHA256:{A256}\n"])
def test_a_sha256_is_taken_with_or_without_its_name(text: str) -> None:
    assert sha256(text) == Digest("sha256", A256)
