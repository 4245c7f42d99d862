"""Which way leads into a guest, by what the modes promise."""

import pytest

from provisioner.network.addressing import assign
from provisioner.network.facts import Facts
from provisioner.plan.checks import HOST
from provisioner.plan.load.loader import load
from provisioner.reachability.ssh_route import Routes

PLAN = """\
name: lab
networks:
  lab: {{switch: true, subnet: [10.77.0.0/24, "fd77::/64"], mode: private}}
  nic: {{uplink: eno1, mode: bridge, subnet: 10.78.0.0/24{access}}}
  free: {{uplink: eno2, addressing: dhcp}}
  mine: {{granted: mine, subnet: 10.79.0.0/24}}
vms:
  near: {{nics: [{{network: lab, address: [10.77.0.9/24, "fd77::9/64"]}}, nic]}}
  beside: {{nics: [{{network: nic, address: 10.78.0.9/24}}]}}
  shut: {{nics: [{{network: lab, link: down}}]}}
  far: {{nics: [{{network: nic, mode: {far}}}]}}
  user: {{nics: [{{network: mine, address: 10.79.0.9/24}}]}}
  lone: {{nics: [free]}}
"""


def at(access: str = "") -> Routes:
    plan = load(PLAN.format(access=access, far="bridge" if access else "private"), "p", ()).plan
    return Routes(plan, assign(plan), Facts())


def addresses(*of: str, access: str = "") -> list[tuple[str, ...]]:
    return [way.addresses for way in at(access).ways(*of) if way.sure]


def test_the_host_goes_over_the_switch_to_whoever_is_behind_it() -> None:
    assert addresses("near") == [("10.77.0.9", "fd77::9")]


def test_the_hosts_own_nic_leads_nowhere_unless_it_has_access() -> None:
    assert addresses("beside") == []
    assert addresses("beside", access=", host_access: 10.78.0.1") == [("10.78.0.9",)]


def test_guests_reach_each_other_as_their_modes_say() -> None:
    assert addresses("beside", "near") == [("10.78.0.9",)]
    assert addresses("far", "near") == []


def test_a_pulled_cable_is_no_way() -> None:
    assert at().ways("shut") == []


def test_a_granted_device_is_worth_a_try() -> None:
    (way,) = at().ways("user")
    assert (way.addresses, way.sure) == (("10.79.0.9",), False)


def test_one_jumps_through_who_is_reached_and_reaches() -> None:
    assert list(at().jumps("beside")) == ["near"]
    assert list(at().jumps("far")) == []


@pytest.mark.parametrize(
    ("vm", "source", "what", "fix"),
    [
        (
            "beside",
            HOST,
            "this host cannot reach beside: on nic: ",
            "or go through another guest: --jump near",
        ),
        ("shut", HOST, "this host cannot reach shut: on lab: the link of shut is down", ""),
        ("far", "near", "near cannot reach far: on nic: ", "vmnet console far need no network"),
        ("lone", "near", "near cannot reach lone: they share no network", "vmnet exec lone"),
    ],
)
def test_where_no_way_leads_the_reason_and_the_other_ways_are_told(
    vm: str, source: str, what: str, fix: str
) -> None:
    error = at().no_way(vm, source)
    assert error.what.startswith(what)
    assert fix in str(error.fix)
