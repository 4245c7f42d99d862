"""What users write where an image is wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import Exit, VmnetError
from provisioner.image import source
from provisioner.image.digest import Digest
from provisioner.image.source import LocalFile, Named, Remote, Source, Url, parse
from provisioner.text import sanitize

HEX = "a" * 64
PIN = Digest("sha256", HEX)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("debian-12", Named("debian-12")),
        (f"debian-12@sha256:{HEX}", Named("debian-12", PIN)),
        ("opensuse-leap-15.6", Named("opensuse-leap-15.6")),
        ("./disk.qcow2", LocalFile("./disk.qcow2")),
        ("../a b.img", LocalFile("../a b.img")),
        ("~/disk.raw", LocalFile("~/disk.raw")),
        (f"/srv/disk@home.img@sha256:{HEX}", LocalFile("/srv/disk@home.img", PIN)),
        ("file:./disk.qcow2", LocalFile("./disk.qcow2")),
        ("file:disk.qcow2", LocalFile("disk.qcow2")),
        ("file:/srv/disk.img", LocalFile("/srv/disk.img")),
        ("file:///srv/a%20b.img", LocalFile("/srv/a b.img")),
        ("FILE://localhost/srv/disk.img", LocalFile("/srv/disk.img")),
        ("https://h.example/disk", Remote((Url("https://h.example/disk"),))),
        ("HTTPS://H.Example:8443/D#x", Remote((Url("https://h.example:8443/D"),))),
        ("https://h.example", Remote((Url("https://h.example/"),))),
        (f"https://h.example/d@sha256:{HEX}", Remote((Url("https://h.example/d"),), PIN)),
        ("https://me:pw@[fd00::1]:8/d?t=1", Remote((Url("https://me:pw@[fd00::1]:8/d?t=1"),))),
        (f"http://h.example/d@sha256:{HEX}", Remote((Url("http://h.example/d"),), PIN)),
    ],
)
def test_each_form_is_understood(text: str, source: Source) -> None:
    assert parse(text) == source


def test_a_digest_may_be_given_beside_the_source() -> None:
    assert parse("http://h.example/d", HEX) == Remote((Url("http://h.example/d"),), PIN)
    assert parse(f"debian@sha256:{HEX}", f"sha256:{HEX}") == Named("debian", PIN)
    with pytest.raises(VmnetError) as caught:
        parse(f"debian@sha256:{HEX}", "b" * 64)
    assert caught.value.what == f"two digests are given: sha256:{HEX} and sha256:{'b' * 64}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", '"" is not an image'),
        ("Debian", '"Debian" is not the name of an image'),
        ("-x", '"-x" is not the name of an image'),
        ("a..b", '"a..b" is not the name of an image'),
        ("images/disk.qcow2", '"images/disk.qcow2" is not the name of an image'),
        ("a" * 64, f'"{"a" * 59}…" is not the name of an image'),
        ("deb\nian", '"deb\\nian" is not an image'),
        ("./a\x1b[2J", '"./a\\x1b[2J" is not an image'),
        ("./a\u202e", '"./a\\u202e" is not an image'),
        ("file:", '"file:" does not name a file'),
        ("file:/srv/", '"file:/srv/" does not name a file'),
        ("file:///a%00b", '"file:///a%00b" does not name a file'),
        ("file://host/a", '"file://host/a" names a file of another host'),
        ("json:{}", '"json:{}": vmnet does not fetch by "json"'),
        ("nbd://h/x", '"nbd://h/x": vmnet does not fetch by "nbd"'),
        ("ftp://me:pw@h/x?t=1", '"ftp://h/x?…": vmnet does not fetch by "ftp"'),
        ("https://h:0/x", '"https://h:0/x" is not a valid address'),
        ("https://h:99999/x", '"https://h:99999/x" is not a valid address'),
        ("https:///x", '"https:///x" is not a valid address'),
        ("https://h\\@evil/x", '"https://evil/x" is not a valid address'),
        ("https://a b/x", '"https://a b/x" is not a valid address'),
        ("https://bücher.example/x", '"https://bücher.example/x" is not a valid address'),
        ("https://-h/x", '"https://-h/x" is not a valid address'),
        ("https://[::1/x", '"https://[::1/x" is not a valid address'),
        (
            "http://me:pw@h/x?t=1",
            '"http://h/x?…" comes over http, where anybody on the way can change it',
        ),
    ],
)
def test_what_is_no_image_is_refused(text: str, what: str) -> None:
    with pytest.raises(VmnetError) as caught:
        parse(text)
    assert caught.value.what == what
    assert caught.value.status == Exit.BAD_INPUT
    assert caught.value.fix


def test_a_short_or_weak_digest_is_refused_and_not_part_of_a_path() -> None:
    for pin in ("sha256:abc", "sha512:" + HEX, "sha256:"):
        with pytest.raises(VmnetError):
            parse(f"./disk.img@{pin}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://h/x", "https://h/x"),
        ("https://me:pw@h:8/x?token=1#f", "https://h:8/x?…"),
        ("https://me@h/x?", "https://h/x?…"),
        ("https://me:a/b@h/x", "https://…/h/x"),
        ("https://h/\x1b[2J", "https://h/\\x1b[2J"),
        ("no address", "no address"),
    ],
)
def test_an_address_is_told_without_its_secrets(text: str, told: str) -> None:
    assert source.shown(text) == told
    assert str(Url(text)) == told
    assert repr(Url(text)) == f"Url({told})"


def test_an_address_knows_its_parts() -> None:
    url = source.address("https://me:p%40w@h.example/a/b%20c.qcow2?t=1")
    assert (url.login, url.host, url.origin) == ("me:p@w", "h.example", ("https", "h.example", 443))
    assert (url.bare, url.file_name) == ("https://h.example/a/b%20c.qcow2?t=1", "b c.qcow2")
    assert (url.scheme, source.address("https://h/").login) == ("https", "")


def complaint(text: str) -> str:
    """All that is said about a source, nothing if it is one."""
    try:
        parse(text)
    except VmnetError as error:
        return f"{error.what} {error.fix}"
    return ""


words = st.text("abcpw:/@?#&=%.[]-", max_size=12)


@given(words, words, words)
def test_no_password_or_token_is_ever_told(user: str, host: str, path: str) -> None:
    text = f"https://{user}s3cret@h{host}/{path}?s3cret"
    assert "s3cret" not in source.shown(text)
    assert "s3cret" not in complaint(text)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    assert sanitize(complaint(text)) == complaint(text)


@pytest.mark.parametrize("value", ["true", "1", "True"])
def test_a_ci_job_must_have_a_proof(value: str) -> None:
    source.require_digest_in_ci(Remote((Url("https://h/x"),), PIN), {"CI": value})
    with pytest.raises(VmnetError) as caught:
        source.require_digest_in_ci(Remote((Url("https://h/x?token=1"),)), {"CI": value})
    assert caught.value.status == Exit.BAD_INPUT
    assert caught.value.what == (
        "nothing proves https://h/x?…: no digest is given, and this is a CI job"
    )


@pytest.mark.parametrize("environment", [{}, {"CI": "false"}, {"CI": "0"}, {"CI": ""}])
def test_by_hand_no_proof_is_needed(environment: dict[str, str]) -> None:
    source.require_digest_in_ci(Remote((Url("https://h/x"),)), environment)


def test_a_first_use_tells_how_to_have_the_same_again() -> None:
    assert source.pin_notice("https://h/x", PIN) == (
        f"nothing proved https://h/x: this time it is {PIN}; "
        f"to get the same again, write https://h/x@{PIN}"
    )
