"""What is said before a switch is asked, and what its answers mean."""

import json
from ipaddress import ip_address

from provisioner.errors import Exit
from provisioner.plan.mac import Mac
from provisioner.reachability import switch_probe
from provisioner.reachability.switch_probe import SwitchAnswer, SwitchProbe

OWN, FOREIGN = Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02")
PROBE = SwitchProbe("eno1", OWN, FOREIGN, ip_address("10.0.0.1"), peer_is_gateway=True)


REFLECTS = """\
reflects: yes; vepa and source guests reach each other, and all but passthru reach the host \
(the table: hairpin on)"""
REFLECTS_NOT = """\
reflects: no; only bridge guests reach each other, and no guest reaches the host \
(the table: hairpin off)"""
DROPPED = """\
foreign MACs: dropped; 10.0.0.1 answers the MAC of eno1 and no new one, \
so guests have no network here, except one in mode passthru"""


def test_all_that_will_be_sent_is_said() -> None:
    assert (
        "\n".join(PROBE.to_send)
        == """\
through eno1, up to 3 broadcast frames of the experimental ethertype 0x88b5 \
from its own MAC 02:00:00:00:00:01: does the switch send them back?
up to 10 ARP requests for 10.0.0.1 (the default gateway) from that MAC: does it answer?
up to 5 of the same from the new MAC 02:00:00:00:00:02, a macvlan on eno1 \
in a network namespace of its own: does the network let it pass?"""
    )


def test_an_ipv6_peer_is_solicited() -> None:
    asked = SwitchProbe("eno1", OWN, FOREIGN, ip_address("fd00::1"))
    assert asked.to_send[1] == (
        "up to 10 neighbour solicitations for fd00::1 from that MAC: does it answer?"
    )


def test_what_cannot_be_tested_sends_nothing() -> None:
    asked = SwitchProbe("eno1", OWN, FOREIGN, untestable="no gateway")
    assert len(asked.to_send) == 1


def test_the_verdicts_say_what_they_mean_for_guests() -> None:
    found = [
        SwitchAnswer(PROBE, reflects=True, passes_foreign=True),
        SwitchAnswer(PROBE, reflects=False, passes_foreign=False),
        SwitchAnswer(PROBE, reflects=False, passes_foreign=None, untestable="nobody answers"),
    ]
    passes = "foreign MACs: pass; 10.0.0.1 has answered a new one, as it will answer guests"
    assert [f.lines for f in found] == [
        (REFLECTS, passes),
        (REFLECTS_NOT, DROPPED),
        (REFLECTS_NOT, "foreign MACs: cannot be tested; nobody answers"),
    ]
    assert [f.status for f in found] == [Exit.DONE, Exit.DONE, Exit.HOST_CANNOT]


def test_the_json_has_the_same_verdicts() -> None:
    found = SwitchAnswer(PROBE, reflects=True, passes_foreign=False)
    assert json.loads(switch_probe.as_json(found)) == {
        "format": 1,
        "command": "modes",
        "status": 0,
        "uplink": "eno1",
        "peer": "10.0.0.1",
        "sent": list(PROBE.to_send),
        "reflects": True,
        "passes_foreign_macs": False,
        "untestable": None,
        "verdicts": list(found.lines),
    }


def test_the_json_of_what_cannot_be_tested_says_why() -> None:
    probe = SwitchProbe("eno1", OWN, FOREIGN, untestable="no gateway")
    found = SwitchAnswer(probe, reflects=False, passes_foreign=None, untestable="no gateway")
    told = json.loads(switch_probe.as_json(found))
    assert [told[key] for key in ("status", "peer", "passes_foreign_macs", "untestable")] == [
        4,
        None,
        None,
        "no gateway",
    ]


def test_a_peer_that_the_user_has_named_is_not_called_a_gateway() -> None:
    probe = SwitchProbe("eno1", OWN, FOREIGN, ip_address("10.0.0.9"))
    assert probe.to_send[1] == "up to 10 ARP requests for 10.0.0.9 from that MAC: does it answer?"
