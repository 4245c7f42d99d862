"""The packaged catalogue, and catalogues that do not hold."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from provisioner.errors import Exit
from provisioner.image import catalogue
from provisioner.image.catalogue import CatalogueEntry, DigestList, Signature
from provisioner.image.digest import Form
from provisioner.image.source import Remote, Url

ENTRIES = catalogue.packaged().images
ENTRY = (
    "{name: a-1, title: A, urls: [https://h.example/a.img], boot: [bios], user: me,"
    " min_memory: 512M, digest: " + "a" * 64 + "}"
)


def test_what_people_use_is_in_the_catalogue() -> None:
    asked = "debian-12 debian-13 ubuntu-22.04 ubuntu-24.04 fedora-43 alpine-3.23 rocky-9 rocky-10"
    asked += " almalinux-10 centos-stream-10 arch opensuse-leap-15.6 opensuse-leap-16.0"
    asked += " cirros-0.6.3 bookworm trixie noble jammy debian ubuntu fedora alpine cirros"
    assert [name for name in asked.split() if catalogue.find(name) is None] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_holds(entry: CatalogueEntry) -> None:
    urls = [*entry.urls, *([entry.digests.url] if entry.digests else [])]
    if entry.digests and entry.digests.signature and entry.digests.signature.url:
        urls.append(entry.digests.signature.url)
    assert [url for url in urls if url.scheme != "https" or url.login or "?" in url.secret] == []
    assert entry.digest or entry.digests
    assert len({url.host for url in entry.urls}) == len(entry.urls)
    assert entry.urls[0].file_name.endswith((".qcow2", ".img"))
    assert 128 <= entry.min_memory_mib <= 2048
    assert entry.source == Remote(entry.urls, entry.digest)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_only_names_that_never_change_are_pinned(entry: CatalogueEntry) -> None:
    moving = any(word in entry.urls[0].secret for word in ("latest", "/release/", "/appliances/"))
    assert not (moving and entry.digest)
    assert entry.digests or entry.digest


def test_two_entries_in_full() -> None:
    noble = catalogue.find("noble")
    releases = "https://cloud-images.ubuntu.com/releases/noble/release"
    assert noble == CatalogueEntry.model_construct(
        name="ubuntu-24.04",
        title="Ubuntu 24.04 LTS (noble)",
        aliases=("noble", "ubuntu"),
        urls=(Url(f"{releases}/ubuntu-24.04-server-cloudimg-amd64.img"),),
        digest=None,
        digests=DigestList.model_construct(
            url=Url(f"{releases}/SHA256SUMS"),
            form=Form.NAMED,
            signature=Signature.model_construct(
                url=Url(f"{releases}/SHA256SUMS.gpg"),
                keyrings=("ubuntu-cloudimage-keyring.gpg",),
            ),
        ),
        boot=("bios", "uefi"),
        user="ubuntu",
        min_memory_mib=512,
        min_cpu="",
        agent=False,
    )
    rocky = catalogue.find("rocky")
    assert rocky
    assert (rocky.name, rocky.min_cpu, rocky.agent) == ("rocky-10", "x86-64-v3", True)


def test_a_mistyped_name_is_not_found_but_guessed() -> None:
    assert catalogue.find("debain-12") is None
    error = catalogue.unknown("debain-12")
    assert error.what == '"debain-12" is not an image of the catalogue'
    assert error.fix == 'did you mean "debian-12"? see them all: vmnet image ls'
    assert error.status == Exit.BAD_INPUT
    assert catalogue.unknown("\x1b").what == ('"\\x1b" is not an image of the catalogue')


def test_a_catalogue_of_one() -> None:
    (entry,) = catalogue.read(f"images: [{ENTRY}]").images
    assert (entry.name, entry.min_memory_mib) == ("a-1", 512)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("https://", "http://", "comes over http"),
        ("https://", "ftp://", "does not fetch by"),
        ("name: a-1", "name: A_1", "is not the name of an image"),
        ("name: a-1", "name: a-1, aliases: [a-1]", "stands for two images"),
        ("a" * 64, "a" * 63, "has 63 digits"),
        ("a" * 64, "md5:" + "a" * 32, "does not prove an image"),
        (", digest: " + "a" * 64, "", "nothing proves a-1"),
        ("user: me", "user: Me", "user"),
        ("user: me", "user: me, colour: red", "colour"),
        ("boot: [bios]", "boot: []", "boot"),
        ("boot: [bios]", "boot: [coreboot]", "boot"),
        ("min_memory: 512M", "min_memory: 1M", "too little memory"),
        ("user: me", "user: me, min_cpu: 486", "min_cpu"),
        (
            "https://h.example/a.img",
            "https://h.example/a.img, https://i.example/b.img",
            "files of two names",
        ),
        (
            "user: me",
            "user: me, digests: {url: https://h.example/S, signature: {keyrings: [../a]}}",
            "digests.signature.keyrings.0",
        ),
    ],
)
def test_a_catalogue_that_does_not_hold_is_refused(old: str, new: str, what: str) -> None:
    assert old in ENTRY
    with pytest.raises(ValidationError) as caught:
        catalogue.read(f"images: [{ENTRY.replace(old, new)}]")
    assert what in str(caught.value)


def test_two_entries_may_not_share_a_name() -> None:
    with pytest.raises(ValidationError) as caught:
        catalogue.read(f"images: [{ENTRY}, {ENTRY}]")
    assert "a-1 stands for two images" in str(caught.value)


def test_the_catalogue_is_packaged() -> None:
    path = Path(catalogue.__file__).parents[1] / "images" / "catalogue.yaml"
    assert catalogue.read(path.read_text()) == catalogue.packaged()
