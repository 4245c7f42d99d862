"""What keeps a guest from the host keeps names and the way out from it: told as one cause."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from provisioner.check.diagnosis import by_host
from provisioner.check.evidence import Endpoint, Evidence, Uplink
from provisioner.check.result import Finding
from tests.builders.checks import spec
from tests.unit.check.test_diagnosis import DEAD, OTHER, A, B

GATE = ip_address("10.0.0.254")
HOST = Endpoint("host", 0, "mvb", OTHER, (GATE,), (ip_interface("10.0.0.254/24"),))
TO_HOST = replace(
    DEAD,
    source=replace(A, link="mvta"),
    target=HOST,
    address=GATE,
    uplink=Uplink("mvl", own_switch=True),
)
NAME = replace(TO_HOST, address=None, asked=spec("dns b.plan"))
OUT = replace(TO_HOST, target=Endpoint("outside"), address=ip_address("10.99.0.254"))
CAUSE, OWN = Finding("cause", "fix", about="mvl"), Finding("own", "fix")
NAT, DHCP = Finding("nat", "fix"), Finding("dhcp", "fix")


def told(*reasons: tuple[Evidence, Finding], nat: bool = False, dhcp: bool = False) -> list[str]:
    drift = {"lan": NAT} if nat else {}, {"lan": DHCP} if dhcp else {}
    return [x.what for x in by_host.shared(reasons, *drift)]


@pytest.mark.parametrize("e", [NAME, OUT])
def test_a_guest_that_does_not_reach_the_host_gets_nothing_of_it(e: Evidence) -> None:
    assert told((TO_HOST, CAUSE), (e, OWN)) == ["cause", "cause"]
    assert told((e, OWN), (TO_HOST, CAUSE), nat=True) == ["cause", "cause"]


@pytest.mark.parametrize(
    ("at_host", "e"),
    [
        (replace(TO_HOST, source=B), NAME),
        (replace(TO_HOST, source=B), OUT),
        (replace(TO_HOST, works_now=True), OUT),
        (replace(TO_HOST, address=ip_address("fd00::1")), NAME),
        (replace(TO_HOST, address=ip_address("fd00::1")), OUT),
        (TO_HOST, replace(NAME, refused=True)),
        (TO_HOST, replace(OUT, works_now=True)),
        (TO_HOST, replace(OUT, uplink=Uplink("nic0"))),
        (TO_HOST, replace(OUT, target=B)),
    ],
)
def test_a_cell_that_does_not_go_by_the_host_keeps_its_own_reason(
    at_host: Evidence, e: Evidence
) -> None:
    assert told((at_host, CAUSE), (e, OWN)) == ["cause", "own"]


def test_nat_that_is_not_as_the_plan_says_keeps_from_the_way_out_alone() -> None:
    assert told((OUT, OWN), (NAME, OWN), (replace(OUT, target=B), OWN), nat=True) == [
        "nat",
        "own",
        "own",
    ]
    assert told((OUT, replace(OWN, about="a")), nat=True) == ["own"]
    assert told((OUT, OWN)) == ["own"]


def test_a_dnsmasq_that_is_not_as_the_plan_says_keeps_names_from_guests_alone() -> None:
    names = (NAME, OWN), (replace(NAME, refused=True, source=B), OWN)
    assert told(*names, (OUT, OWN), dhcp=True) == ["dhcp", "dhcp", "own"]
    assert told((TO_HOST, CAUSE), (NAME, OWN), dhcp=True) == ["cause", "cause"]
