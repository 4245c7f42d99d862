"""The user of a domain's QEMU in its XML, whoever has written that."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from provisioner.guest.xml import render
from provisioner.guest.xml.label import labelled
from tests.builders.domain import WEB

OWN = replace(WEB, uid=2_001_000_007, gid=108)
TRAPS = [
    "<domain><name>a</name></domain>",
    "<domain><name>a</name></domain><!-- </domain> -->\n",
    "<domain><!-- </domain> --><x a='&lt;/domain>'/></domain ><!-- <domain></domain> -->",
    "<domain><description>ä</description></domain>",
    "<domain><domain></domain></domain>",
]


@pytest.mark.parametrize("xml", [*TRAPS, render.domain_xml(OWN)])
def test_the_user_stands_in_the_domain_itself_once(xml: str) -> None:
    root = ET.fromstring(labelled(xml, OWN))  # noqa: S314  (the test's own)
    labels = root.findall("seclabel")
    assert [label.attrib for label in labels] == [
        {"type": "static", "model": "dac", "relabel": "no"}
    ]
    assert labels[0].findtext("label") == "+2001000007:+108"
    assert len([*root.iter("seclabel")]) == 1


def test_a_domain_without_a_user_of_its_own_is_left_as_it_is() -> None:
    assert labelled(TRAPS[1], WEB) == TRAPS[1]
