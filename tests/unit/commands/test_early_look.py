"""What may be asked on an uplink while guests boot, and in whose name."""

from ipaddress import ip_address, ip_interface
from typing import Any, cast

import pytest

from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.readiness import Readiness
from provisioner.commands.check.readiness_probes import ReadinessProbes
from provisioner.commands.check.surroundings import Wired
from provisioner.commands.session import on_host
from provisioner.guest.domain import DomainNic
from provisioner.host.probe.wire_watch import TruthfulAsker, Watch
from provisioner.network import addressing
from provisioner.network.facts import Facts, Link
from provisioner.plan.load.loader import load
from provisioner.plan.nic_id import NicId

NO_WORKER = cast("Any", None)
A, B = NicId("a", 0), NicId("b", 0)
PLAN = """\
name: lab
networks:
  lan: {uplink: nic0, mode: bridge, subnet: [10.9.0.0/24, "fd09::/64"]}
  own: {switch: true, subnet: 10.8.0.0/24}
  leased: {uplink: nic1, mode: bridge, addressing: dhcp}
vms:
  a: {nics: [{network: lan, address: [10.9.0.11, "fd09::11"]}]}
  b: {nics: [{network: lan, address: [10.9.0.12, "fd09::12"]}]}
  c: {nics: [own]}
  d: {nics: [leased]}
"""
V4, V6 = ip_address("10.9.0.11"), ip_address("fd09::11")
OF_B = ip_address("10.9.0.12"), ip_address("fd09::12")


def _early(
    fresh: set[str], asked: set[NicId], network: str = "lan", own: str = "", *, up: bool = True
) -> Watch | None:
    plan = load(PLAN, "plan.yaml").plan
    addresses = (ip_interface(own),) if own else ()
    links = [
        _link("nic0", 2, "veth", addresses=addresses),
        _link("nic1", 3, "veth"),
        *(_link(f"tap-{name}", index, "macvtap", up=up) for index, name in enumerate("abcd", 11)),
    ]
    facts = Facts(links=tuple(links), routes=())
    nics = on_host(plan, addressing.assign(plan), facts)
    started = {key: DomainNic(f"tap-{key.vm}", nics[key].mac, 1500) for key in nics}
    ends = Endpoints(plan, nics, started, facts, NO_WORKER)
    readiness = Readiness(ends, (), ReadinessProbes(ends, {}), lambda _: None)
    uplink = plan.network(network).uplink or "vmnet-own"
    return Wired(ends, readiness, uplink, [plan.network(network)]).early(fresh, asked)


def _link(
    name: str, index: int, kind: str, addresses: tuple[Any, ...] = (), *, up: bool = True
) -> Link:
    mac = f"52:54:00:00:00:{index:02}"
    return Link(name, index, kind, mac, 1500, ethernet=True, up=up, carrier=up, addresses=addresses)


def test_guests_that_have_run_for_long_are_asked_for_by_everybody() -> None:
    watch = _early(set(), set())
    assert watch is not None
    assert set(watch.lan) == {V4, V6, *OF_B}
    assert watch.truly == ()
    assert isinstance(watch.asker, TruthfulAsker)
    assert watch.asker.device == "tap-a"


def test_a_guest_that_boots_hears_no_question_from_nobody_for_its_ipv4_address() -> None:
    watch = _early({"b"}, {B})
    assert watch is not None
    assert set(watch.lan) == {V4, V6, OF_B[1]}
    assert watch.truly == (OF_B[0],)


def test_a_host_with_an_address_there_asks_in_its_own_name() -> None:
    watch = _early({"b"}, {B}, own="10.9.0.1/24")
    assert watch is not None
    assert watch.asker is None
    assert set(watch.lan) == {V4, V6, *OF_B}


@pytest.mark.parametrize("network", ["own", "leased"])
def test_where_addresses_are_not_known_or_guests_alone_are_asked_it_waits(network: str) -> None:
    assert _early(set(), set(), network) is None


def test_it_waits_for_a_guest_whose_address_the_lan_was_not_asked_for() -> None:
    assert _early({"b"}, set()) is None
    assert _early({"b"}, {A}) is None


def test_it_waits_where_nobody_can_ask_in_a_name_of_his_own() -> None:
    assert _early(set(), set(), up=False) is None
    assert _early(set(), set(), own="10.9.0.1/24", up=False) is not None
