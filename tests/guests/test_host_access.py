"""Guests on a NIC of the host that the host itself must reach."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.framework.lab import Lab, until
from tests.framework.wire import CabledNic, cabled_nic

PLAN = """\
networks:
  lan:
    uplink: {uplink}
    subnet: [10.90.0.0/24, "fd90::/64"]
    pool: 10.90.0.20-10.90.0.99
    host_access: [10.90.0.11, "fd90::11"]
vms: {{a: {{nics: [lan]}}, b: {{nics: [lan]}}}}
"""

ADVERTISEMENT = (
    "3333000000010200000000fe86dd6000000000303afffe80000000000000000000fffe0000feff020000"
    "0000000000000000000000018600d7d4400007080000000000000000030440c000000e1000000e100000"
    "0000fd500000000000000000000000000000"
)
"""A frame: a router with a default route and the prefix fd50::/64 (RFC 4861, 4.2)."""

SEND = """
import socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("sw", 0))
wire.send(bytes.fromhex(sys.argv[1]))
"""


@pytest.fixture
def wire(lab: Lab) -> Iterator[CabledNic]:
    ends = ("10.90.0.254/24", "fd90::254/64")
    with cabled_nic(lab, *ends, host=("10.90.0.1/24", "fd90::1/64")) as made:
        yield made


def test_the_host_is_a_neighbour_with_an_address_of_its_own(lab: Lab, wire: CabledNic) -> None:
    plan = lab.plan(PLAN.format(uplink=wire.name))
    with lab.settled():
        report = lab.vmnet("up", plan, "--json").report
        seen = {(r["from"], r["to"], ":" in r["address"]) for r in report["results"]}
        ends = ("a", "b", "host")
        assert seen == {(x, y, six) for x in ends for y in ends if x != y for six in (False, True)}
        assert {(r["expected"], r["observed"]) for r in report["results"]} == {
            ("reaches", "reaches")
        }
        assert {r["address"] for r in report["results"] if r["to"] == "host"} == {
            "10.90.0.11",
            "fd90::11",
        }
        assert "\nnothing to do\n" in lab.vmnet("up", plan).stderr
        answers = wire.outside("arping", "-b", "-c", "3", "-w", "3", "-I", "sw", "10.90.0.1")
        assert len({word for word in answers.split() if word.startswith("[")}) == 1
        lab.vmnet("down", plan)


def test_a_router_on_the_lan_changes_nothing_of_what_is_up(lab: Lab, wire: CabledNic) -> None:
    plan = lab.plan(PLAN.format(uplink=wire.name))
    with lab.settled():
        lab.run("sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/{wire.name}/accept_ra")
        lab.ip("link", "add", "link", wire.name, "name", "ctl", "type", "macvlan", "mode", "bridge")
        lab.ip("link", "set", "ctl", "arp", "off", "up")  # it answers for no address of the host
        lab.vmnet("up", plan)
        # Nobody holds the macvtap of a guest that has ended: what arrives there is for the host.
        ended = lab.qemus()[f"{lab.name}-a"]
        os.kill(ended, signal.SIGKILL)
        until(lambda: ended not in lab.qemus().values(), "the guest has ended")
        for _ in range(2):  # the second one comes when the first has been dealt with everywhere
            lab.ip("-6", "route", "flush", "dev", "ctl", "proto", "ra")
            until(lambda: advertised(lab, wire), "the control hears the router")
        learned = [x.split() for x in lab.ip("-6", "route").splitlines() if "fd50::" in x]
        learned += [x.split() for x in lab.ip("-6", "route", "show", "proto", "ra").splitlines()]
        assert {x[x.index("dev") + 1] for x in learned} == {"ctl"}
        assert "host access" not in lab.vmnet("up", plan).stderr
        assert "\nnothing to do\n" in lab.vmnet("up", plan).stderr
        told = lab.vmnet("status", plan)
        assert "nothing to do" in told.stdout + told.stderr
        lab.vmnet("down", plan)
        lab.ip("link", "del", "ctl")


def advertised(lab: Lab, wire: CabledNic) -> str:
    wire.outside(sys.executable, "-c", SEND, ADVERTISEMENT)
    return lab.ip("-6", "route", "show", "dev", "ctl", "proto", "ra")


def test_a_machine_on_the_lan_that_has_an_address_already_is_named(
    lab: Lab, wire: CabledNic
) -> None:
    text = PLAN.format(uplink=wire.name).replace(
        "a: {nics: [lan]}", "a: {nics: [{network: lan, address: 10.90.0.254}]}"
    )
    with lab.settled():
        refused = lab.vmnet("up", lab.plan(text), status=3)
        assert f"the address 10.90.0.254 is taken: {wire.mac()} answers for it" in refused.stderr
