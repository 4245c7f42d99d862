"""Which way leads into a guest, by what the modes promise."""

from dataclasses import replace

import pytest

from provisioner.network.addressing import assign
from provisioner.network.facts import Facts
from provisioner.plan.checks import HOST
from provisioner.plan.load.loader import load
from provisioner.plan.nic_id import NicId
from provisioner.reachability.ssh_route import Routes, Way

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


def test_the_surest_way_comes_first_and_one_that_may_work_is_kept() -> None:
    own = Way(NicId("near", 0), "lab", ("10.77.0.9", "fd77::9"))
    (nic,) = at().ways("near", "beside")
    assert nic.sure
    assert at().ways("near") == [own, replace(nic, sure=False)]
    assert at(", host_access: 10.78.0.1").ways("near") == [own, nic]


def test_the_addresses_of_a_guest_that_nobody_has_planned_have_to_be_found_out() -> None:
    assert at().ways("lone") == [Way(NicId("lone", 0), "free", (), sure=False)]


def test_guests_have_no_way_over_what_is_granted_to_this_user() -> None:
    assert at().ways("user", "near") == []


APART = "the kernel keeps an uplink's own stack and the macvtaps on it apart"
UNLESS = "unless the switch behind it sends frames back"
ACCESS = "or give this host a way in: host_access: true on a network of mode bridge"


@pytest.mark.parametrize(
    ("vm", "source", "what", "more"),
    [
        (
            "beside",
            HOST,
            f"this host cannot reach beside: on nic: {APART}, {UNLESS}",
            f"; or go through another guest: --jump near; {ACCESS}",
        ),
        ("far", HOST, f"this host cannot reach far: on nic: {APART}, {UNLESS}", f"; {ACCESS}"),
        ("shut", HOST, "this host cannot reach shut: on lab: the link of shut is down", ""),
        ("user", HOST, "this host cannot reach user: they share no network", ""),
        (
            "far",
            "near",
            (
                "near cannot reach far: on nic: private mode hands nothing to its neighbours, "
                "and this switch reflects nothing"
            ),
            "",
        ),
        ("lone", "near", "near cannot reach lone: they share no network", ""),
    ],
)
def test_where_no_way_leads_the_reason_and_the_other_ways_are_told(
    vm: str, source: str, what: str, more: str
) -> None:
    error = at().no_way(vm, source)
    fix = f"vmnet exec {vm} -- …, vmnet cp and vmnet console {vm} need no network{more}"
    assert (error.what, error.fix) == (what, fix)


def test_all_reasons_are_told_of_guests_that_meet_on_several_networks() -> None:
    text = """\
name: lab
networks:
  one: {switch: true, subnet: 10.1.0.0/24, mode: private}
  two: {switch: true, subnet: 10.2.0.0/24, mode: vepa}
vms: {a: {nics: [one, two]}, b: {nics: [one, two]}}
"""
    plan = load(text, "p", ()).plan
    assert Routes(plan, assign(plan), Facts()).no_way("a", "b").what == (
        "b cannot reach a: on one: private mode hands nothing to its neighbours, and this switch "
        "reflects nothing; on two: vepa sends all frames to the wire, and this switch reflects none"
    )
