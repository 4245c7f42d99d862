"""The XML of a guest that comes: its machine as it was, the places of this host."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain, DomainDisk
from provisioner.guest.moving.arriving_xml import arriving_xml
from provisioner.guest.xml.label import labelled
from provisioner.guest.xml.render import domain_xml, mark_in
from tests.builders.domain import SEEDED

THERE = replace(
    SEEDED,
    uid=2_000_001,
    gid=2_000_001,
    disks=(DomainDisk("/a/lab/disk/web.qcow2", "qcow2", "/a/sha256-1", "qcow2"),),
)
HERE = replace(
    THERE,
    uid=3_000_005,
    gid=3_000_005,
    kernel="/b/vmlinux",
    initrd="/b/initrd",
    console="/b/web.log",
    seed="/b/seed.iso",
    disks=(DomainDisk("/b/lab/disk/web.qcow2", "qcow2", "/b/sha256-1", "qcow2"),),
)


def arriving(there: Domain = THERE, here: Domain = HERE) -> str:
    return arriving_xml(labelled(domain_xml(there), there), there, here)


def parsed(xml: str) -> ET.Element:
    return ET.fromstring(xml)  # noqa: S314  (ours)


def test_paths_are_those_of_this_host() -> None:
    xml = arriving()
    assert "/a/" not in xml
    assert "/var/" not in xml
    for path in ("vmlinux", "initrd", "web.log", "seed.iso", "lab/disk/web.qcow2", "sha256-1"):
        assert f"/b/{path}" in xml


def test_the_mark_and_the_user_are_those_of_this_host() -> None:
    xml = arriving()
    assert mark_in(xml) == HERE
    labels = [x.text for x in parsed(xml).iterfind("seclabel/label")]
    assert labels == ["+3000005:+3000005"]


def test_a_host_with_one_user_for_all_guests_leaves_it_to_libvirt() -> None:
    assert "seclabel" not in arriving(here=replace(HERE, uid=0, gid=0))


def test_the_machine_stays_as_it_was() -> None:
    def machine(xml: str) -> list[tuple[str, str | None]]:
        found = parsed(xml)
        parts = [*found.iterfind("devices/interface/*"), *found.iterfind("cpu/*")]
        return [(x.tag, ET.tostring(x, "unicode").strip()) for x in parts]

    assert machine(arriving()) == machine(domain_xml(THERE))


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        ("<!DOCTYPE a><domain/>", "document type"),
        ("<domain", "unclosed token"),
        ("<domain><name>other</name></domain>", "another domain"),
        (f"<domain><name>lab-web</name><uuid>{THERE.uuid}</uuid></domain>", "no mark"),
    ],
)
def test_xml_of_something_else_is_refused(xml: str, why: str) -> None:
    with pytest.raises(VmnetError, match=why):
        arriving_xml(xml, THERE, HERE)
