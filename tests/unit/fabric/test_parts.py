"""What one of several hosts gets of a plan, and what is promised of guests on two hosts."""

import pytest

from provisioner.fabric.facts import UplinkFacts
from provisioner.fabric.parts.part import HostPart, fleet_nics, part_of
from provisioner.network.addressing import assign
from provisioner.plan.load.loader import Loaded, load, load_merged
from provisioner.plan.nic_id import NicId
from provisioner.reachability import external
from provisioner.reachability.pairs import Expected
from provisioner.reachability.user_checks import expand
from tests.builders.fabric import host, nic

PLAN = """\
name: lab
defaults: {memory: 128M, run: [echo $HOME], on: rack}
networks:
  lan: {uplink: eno1, subnet: 10.0.0.0/24, gateway: 10.0.0.1, pool: 10.0.0.100-10.0.0.140}
  picky: {uplink: eno1, mode: source, subnet: 10.0.1.0/24, allow: ["vm:a", host]}
  wan: {uplink: eno2, mode: passthru, subnet: 10.9.0.0/24}
  own: {switch: {dhcp: true}, subnet: 10.77.0.0/24}
  idle: {uplink: eno9, addressing: none}
hosts:
  h1: {address: 10.0.0.11, ssh: root@h1, uplinks: {lan: enp3s0, picky: enp3s0}, groups: rack}
  h2: {address: [10.0.0.12, 10.9.0.12], ssh: root@h2, uplinks: {}, groups: rack}
  nas: {address: 10.0.0.9, ssh: admin@nas}
placement: {apart: [a, b]}
vms:
  a: {nics: [lan, picky]}
  b: {mode: x, nics: [{network: lan, mode: private}, {network: picky, link: down}], after: a}
  c: {image: debian-12, nics: [wan, own], password: "pa$$${word}"}
  web: {count: 2, nics: [{network: lan, mode: private}, picky], after: [a, b]}
checks: [auto, "web* -> a tcp/22", "nas -> web*", "a -/> b or refused tcp/9", "-> http://x/",
  "host -> a", "web1 -> nas", "a -> web2 on picky"]
""".replace("mode: x, ", "")
HOMES = {"a": "h1", "b": "h2", "c": "h2", "web1": "h1", "web2": "h2"}
FLEET = {
    "h1": host(4096, nic("enp3s0")),
    "h2": host(4096, nic(), UplinkFacts("eno2", "02:aa:00:00:00:02", 1500, carrier=True)),
}


def whole() -> Loaded:
    return load_merged([("p", PLAN)], environment={"word": "x"})


def part(name: str, homes: dict[str, str] | None = None) -> HostPart:
    loaded, homes = whole(), homes or HOMES
    nics = fleet_nics(loaded.plan, FLEET, homes)
    return part_of(loaded.plan, loaded.places, name, homes, nics)


def of(name: str) -> Loaded:
    """Load a part as its host would."""
    return load(part(name).text, "part")


def test_a_part_has_the_vms_of_its_host_and_no_word_that_places_them() -> None:
    assert [vm.name for vm in of("h1").plan.vms] == ["a", "web1"]
    assert [vm.name for vm in of("h2").plan.vms] == ["b", "c", "web2"]
    for name in ("h1", "h2"):
        keys = of(name).places.root.items
        assert "placement" not in keys
        assert not any(word in part(name).text for word in ("on:", "uplinks:", "groups:", "root@"))


def test_a_part_has_the_networks_of_its_vms_with_the_uplinks_of_its_host() -> None:
    assert [(n.name, n.uplink) for n in of("h1").plan.networks] == [
        ("lan", "enp3s0"),
        ("picky", "enp3s0"),
    ]
    assert [(n.name, n.uplink) for n in of("h2").plan.networks] == [
        ("lan", "eno1"),
        ("picky", "eno1"),
        ("wan", "eno2"),
        ("own", None),
    ]


def test_each_nic_has_what_the_whole_plan_gives_it() -> None:
    every = assign(whole().plan)
    there = assign(of("h1").plan) | assign(of("h2").plan)
    assert there == every
    assert len({one.ip for config in there.values() for one in config.addresses}) == 10


def test_guests_of_other_hosts_are_machines_with_all_that_a_promise_needs() -> None:
    every = assign(whole().plan)
    hosts = of("h1").plan.hosts
    assert list(hosts) == ["h2", "nas", "b", "web2"]
    assert [str(a) for a in hosts["h2"].addresses] == ["10.0.0.12"]  # c has taken the other NIC
    assert hosts["nas"].ssh is not None
    assert [(one.network, one.mac, str(one.mode), str(one.link)) for one in hosts["b"].nics] == [
        ("lan", every[NicId("b", 0)].mac, "private", "up"),
        ("picky", every[NicId("b", 1)].mac, "source", "down"),
    ]


def test_a_guest_that_shares_no_network_is_known_where_a_check_asks_for_it() -> None:
    text = PLAN.replace("web1 -> nas", "web1 -> c")
    loaded = load_merged([("p", text)], environment={"word": "x"})
    nics = fleet_nics(loaded.plan, FLEET, HOMES)
    mine = part_of(loaded.plan, loaded.places, "h1", HOMES, nics)
    plan = load(mine.text, "part").plan
    assert plan.hosts["c"].addresses == assign(whole().plan)[NicId("c", 0)].static
    (asked,) = [p for p in expand(plan, assign(plan), ()) if p.target == "c"]
    assert asked.addresses == plan.hosts["c"].addresses


def test_a_passthru_guest_of_another_host_bears_the_mac_of_its_uplink() -> None:
    nics = fleet_nics(whole().plan, FLEET, HOMES)
    assert nics[NicId("c", 0)].mac == "02:aa:00:00:00:02"


def test_a_source_list_names_guests_of_other_hosts_by_their_macs() -> None:
    macs = {str(config.mac) for key, config in assign(whole().plan).items() if key.vm == "a"}
    assert of("h1").plan.network("picky").allow == ("host", "vm:a")
    assert set(of("h2").plan.network("picky").allow) == {"host", *macs}


def test_a_vm_waits_for_those_of_its_own_host_alone() -> None:
    assert of("h1").plan.vm("web1").after == ("a",)
    assert of("h2").plan.vm("b").after == ()
    assert of("h2").plan.vm("web2").after == ("b",)


def test_secrets_are_in_the_part_of_their_vms_host_alone_and_dollars_stay_as_they_are() -> None:
    assert "word" not in part("h1").text
    read = of("h2").plan.vm("c").password
    assert (read, read) == (whole().plan.vm("c").password, "pa$${word}")
    assert of("h1").plan.vm("a").run == ("echo $HOME",)


def test_checks_are_cut_to_those_that_begin_or_end_at_the_guests_of_a_host() -> None:
    assert [getattr(one, "text", one) for one in of("h1").plan.checks] == [
        "auto",
        "web1 -> a tcp/22",
        "nas -> web1",
        "a -/> b or refused tcp/9",
        "a -> http://x/",
        "web1 -> http://x/",
        "host -> a",
        "web1 -> nas",
        "a -> web2 on picky",
    ]
    assert [getattr(one, "text", one) for one in of("h2").plan.checks] == [
        "auto",
        "web2 -> a tcp/22",
        "nas -> web2",
        "b -> http://x/",
        "c -> http://x/",
        "web2 -> http://x/",
    ]


def test_a_check_of_a_guest_elsewhere_asks_at_its_address_on_that_network() -> None:
    plan = of("h1").plan
    (asked,) = [p for p in expand(plan, assign(plan), ()) if p.target == "web2"]
    assert asked.addresses == assign(whole().plan)[NicId("web2", 1)].static


def test_two_private_guests_on_two_hosts_are_promised_to_meet() -> None:
    plan = of("h1").plan
    (pair,) = [
        p
        for p in external.pairs(plan, assign(plan))
        if (p.source, p.target, p.network) == ("web1", "web2", "lan")
    ]
    assert pair.expected is Expected.REACHES
    assert pair.why.startswith("they are on two hosts: every mode sends to the wire")
    assert pair.addresses == assign(whole().plan)[NicId("web2", 0)].static


@pytest.mark.parametrize(
    ("name", "source", "target", "expected"),
    [
        ("h2", "web2", "a", Expected.EITHER),  # a hears web2 not; web2's own list names a
        ("h1", "a", "web2", Expected.EITHER),
        ("h1", "a", "b", Expected.ISOLATED),  # its link is down
    ],
)
def test_source_lists_and_links_count_across_hosts(
    name: str, source: str, target: str, expected: Expected
) -> None:
    plan = of(name).plan
    found = [
        p.expected
        for p in external.pairs(plan, assign(plan))
        if (p.source, p.target, p.network) == (source, target, "picky")
    ]
    assert found == [expected]


def test_source_that_lists_a_guest_of_another_host_is_promised_to_meet_it() -> None:
    text = """\
name: lab
networks: {lan: {uplink: eno1, subnet: 10.0.0.0/24}}
hosts: {h1: {address: 10.9.0.1, uplinks: {}}, h2: {address: 10.9.0.2, uplinks: {}}}
vms:
  s: {on: h1, nics: [{network: lan, mode: source, allow: [%s]}]}
  b: {on: h2, nics: [lan]}
"""
    for listed, expected in (("vm:b", Expected.REACHES), ("host", Expected.ISOLATED)):
        loaded = load(text % listed, "p")
        homes = {"s": "h1", "b": "h2"}
        mine = part_of(loaded.plan, loaded.places, "h1", homes, assign(loaded.plan))
        plan = load(mine.text, "part").plan
        found = [p.expected for p in external.pairs(plan, assign(plan)) if p.target == "b"]
        assert found == [expected]


def test_a_part_is_the_same_whatever_order_hosts_are_known_in() -> None:
    turned = dict(reversed(HOMES.items()))
    assert part("h1", turned).digest == part("h1").digest
    assert part("h1", HOMES | {"b": "h1"}).digest != part("h1").digest


def test_a_host_without_vms_gets_no_vm() -> None:
    assert part("h1", dict.fromkeys(HOMES, "h2")).vms == ()


def test_a_host_is_told_the_macs_of_all_guests_elsewhere_that_are_kept_from_its_own() -> None:
    text = PLAN.replace(
        "pool: 10.0.0.100-10.0.0.140}", "pool: 10.0.0.100-10.0.0.140, isolate: plan}"
    )
    loaded = load_merged([("p", text)], environment={"word": "x"})
    nics = fleet_nics(loaded.plan, FLEET, HOMES)
    here = load(part_of(loaded.plan, loaded.places, "h1", HOMES, nics).text, "part").plan
    elsewhere = {
        str(nics[key].mac)
        for key, nic in loaded.plan.nics()
        if HOMES[key.vm] == "h2" and nic.network != "own"
    }
    assert {*here.network("lan").isolate} == {"plan", *elsewhere}
    assert here.network("picky").isolate == ()
    assert here.hosts["b"].nics[0].isolate == ("plan",)
    found = {(p.source, p.target): p.expected for p in external.pairs(here, assign(here))}
    assert found["a", "b"] is Expected.ISOLATED
