"""What is not blamed, and the edges between two causes."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from provisioner.check.diagnosis.diagnose import diagnose
from provisioner.check.diagnosis.endpoint import standing
from provisioner.check.evidence import Endpoint, Evidence, Inside, Uplink
from provisioner.check.result import OWN_MTU
from provisioner.plan.choices import Mode, SpoofGuard
from tests.builders.checks import spec
from tests.unit.check.test_diagnosis import (
    APART,
    ARRIVED,
    ASKED,
    DEAD,
    LEAK,
    MAC_A,
    MAC_B,
    OTHER,
    A,
    B,
    seen,
)

UNEXPLAINED = "a -> b (ping): no answer; no reason was found"
VEPA_A = replace(A, mode="vepa", wanted_mode=Mode.VEPA)
HOST = Endpoint("host", 0, "nic0", MAC_A, (ip_address("10.0.0.9"),))


@pytest.mark.parametrize(
    "evidence",
    [
        replace(DEAD, sent=20, answered=20),
        replace(DEAD, sent=20, answered=0),
        replace(DEAD, target=replace(B, state="")),
        replace(DEAD, source=replace(A, dropped=0, guard=SpoofGuard.MAC)),
        replace(DEAD, target=replace(B, mac=""), owners=(OTHER,)),
        replace(DEAD, uplink=Uplink("nic0", passes_foreign=True)),
        replace(DEAD, source=VEPA_A, uplink=Uplink("nic0", reflects=True)),
        replace(DEAD, uplink=Uplink("nic0", reflects=False)),
        replace(DEAD, source=VEPA_A, uplink=Uplink("nic0", reflects=False, own_switch=True)),
        replace(DEAD, target=replace(B, all_multicast=False)),  # IPv4 needs no multicast
        replace(
            DEAD,
            target=replace(B, inside=Inside(MAC_B, up=True, addresses=(ip_address("10.0.0.2"),))),
        ),
        replace(DEAD, source=replace(A, agent=False)),
        replace(DEAD, owners=(MAC_B,)),
    ],
)
def test_what_is_in_order_is_not_blamed(evidence: Evidence) -> None:
    assert diagnose(evidence).what == UNEXPLAINED


@pytest.mark.parametrize(
    ("evidence", "what"),
    [
        (
            replace(DEAD, asked=spec("loss < 5%"), sent=20, answered=0),
            "20 of 20 pings from a to b were lost",
        ),
        (replace(DEAD, sent=20, answered=19), "1 of 20 pings from a to b were lost"),
        (
            replace(DEAD, packet=1500, largest=4),
            "packets of 1500 bytes from a to b vanish, 4 bytes still pass",
        ),
        (replace(DEAD, packet=1500), "packets of 1500 bytes from a to b vanish, small ones pass"),
        (
            replace(DEAD, packet=1500, largest=1405, uplink=Uplink("nic0", mtu=1499)),
            (
                "packets of 1500 bytes from a to b vanish, 1405 bytes still pass; the MTU of nic0 "
                "is 1499"
            ),
        ),
        (
            replace(DEAD, packet=1500, note=f"{OWN_MTU} 1400"),
            f"a sends no packets of 1500 bytes to b: {OWN_MTU} 1400",
        ),
        (
            replace(
                DEAD,
                source=VEPA_A,
                uplink=Uplink("nic0", reflects=False, own_switch=True, wanted_reflects=True),
            ),
            (
                "the switch of network lan has stopped to send frames back (hairpin is off), which "
                "mode bridge and vepa needs"
            ),
        ),
        (
            replace(DEAD, owners=(MAC_B,), target=replace(B, alive=True)),
            "b answers ARP (who-has) but not ping: the way of its frames was not followed",
        ),
        (
            replace(DEAD, **seen(ASKED, ARRIVED)),
            ("what asks 10.0.0.2 (ping) has come to the macvtap mvtb of b, and b has not answered"),
        ),
    ],
)
def test_a_cause_is_told_up_to_its_edge(evidence: Evidence, what: str) -> None:
    assert diagnose(evidence).what == what


@pytest.mark.parametrize(
    ("evidence", "what"),
    [
        (
            replace(APART, uplink=Uplink("nic0", reflects=True)),
            (
                "a reaches b, which it must not: the switch behind nic0 sends frames back "
                "(hairpin), and they know each other's MAC"
            ),
        ),
        (
            replace(APART, uplink=Uplink("nic0", reflects=True, own_switch=True)),
            (
                "a reaches b, which it must not: the switch sends frames back, the plan says "
                "hairpin: false"
            ),
        ),
        (
            replace(APART, source=HOST, uplink=Uplink("nic0", own_switch=True)),
            (
                "host reaches b, which it must not: the host is at the far side of the switch of "
                "network lan"
            ),
        ),
        (
            replace(LEAK, near=(OTHER,), owners=(MAC_B,)),
            f"10.0.0.2 answers a, but it is {OTHER} that has the address there, not b",
        ),
        (APART, "a reaches b, which it must not, by a way that was not found"),
    ],
)
def test_a_leak_is_told_up_to_its_edge(evidence: Evidence, what: str) -> None:
    assert diagnose(evidence).what == what


@pytest.mark.parametrize(
    ("end", "what"),
    [
        (A, None),
        (replace(A, up=False), "the macvtap mvta of a is down"),
        (replace(A, mode=""), None),
        (replace(A, exists=False), "the macvtap mvta of a is gone"),
        (replace(A, mode="vepa"), "the macvtap mvta of a is in mode vepa, the plan says bridge"),
        (
            replace(A, holders=("7 (cat)", "8 (nc)")),
            (
                "the tap of a (mvta) is open in process 7 (cat), 8 (nc) too: each frame goes to "
                "only one of its readers"
            ),
        ),
        (
            replace(A, all_multicast=False),
            (
                "the macvtap mvta of a receives no multicast (ALLMULTI is off), and IPv6 finds its "
                "neighbours by multicast"
            ),
        ),
    ],
)
def test_a_macvtap_is_judged_by_itself(end: Endpoint, what: str | None) -> None:
    found = standing(end)
    assert (found.what if found else None) == what
