"""Devices that root has made for a user: which of them a plan's NICs get."""

from dataclasses import replace

from provisioner.naming import NET_GROUP
from provisioner.network.addressing import assign
from provisioner.network.facts import Facts, Link
from provisioner.network.standalone import device, granted
from provisioner.plan.load.loader import load
from provisioner.plan.nic_id import NicId

ONE = Link(
    *("mvn0", 7, "macvtap", "02:00:00:00:00:70", 1500),
    ethernet=True,
    up=True,
    carrier=True,
    group=NET_GROUP,
    alias="vmnet-net:nic0/1000/lan",
)
TWO = replace(ONE, name="mvn1", mac="02:00:00:00:00:71")
ROOTS = replace(ONE, name="mvn2", alias="vmnet-net:nic0/0/lan")
OTHER = replace(ONE, name="mvn3", alias="vmnet-net:nic0/1000/wan")
FORGED = replace(ONE, name="mvn4", group=0)
PLAIN = replace(ONE, name="mvn5", alias="")
LINKS = (PLAIN, FORGED, OTHER, ROOTS, TWO, ONE)
PLAN = load(
    """\
name: lab
networks: {lan: {granted: lan}, wan: {granted: wan}, own: {switch: true, addressing: none}}
vms: {b: {nics: [lan, own]}, a: {nics: [own, lan, wan]}}
""",
    "p",
).plan


def test_a_user_may_use_his_own_devices_and_root_all() -> None:
    assert granted.labelled("lan", Facts(links=LINKS, user=1000)) == [ONE, TWO]
    assert granted.labelled("lan", Facts(links=LINKS, user=0)) == [ONE, TWO, ROOTS]
    assert granted.labelled("lan", Facts(links=LINKS, user=1001)) == []
    assert granted.labelled("wan", Facts(links=LINKS, user=1000)) == [OTHER]


def test_nics_get_devices_in_the_order_of_both_names() -> None:
    facts = Facts(links=LINKS, user=1000)
    assert granted.devices(PLAN, facts) == {("a", 1): ONE, ("b", 0): TWO, ("a", 2): OTHER}
    assert granted.devices(PLAN, replace(facts, links=(TWO,))) == {("a", 1): TWO}


def test_a_mac_that_its_user_has_changed_is_told_and_not_taken_over() -> None:
    made = replace(ONE, alias="vmnet-net:nic0/1000/lan/mac/02:00:00:00:00:70")
    other = replace(made, mac="02:00:00:00:00:99")
    assert granted.changed_macs(PLAN, Facts(links=(made, TWO), user=1000)) == []
    assert granted.changed_macs(PLAN, Facts(links=(other, TWO), user=1000)) == [
        (
            "the device mvn0 of a.lan has the MAC 02:00:00:00:00:99, and was made with "
            "02:00:00:00:00:70: whoever may open it has changed it, and the guest hears nothing"
        )
    ]
    nics = granted.as_granted(assign(PLAN), {NicId("a", 1): other})
    assert nics[NicId("a", 1)].mac == "02:00:00:00:00:70"


def test_what_root_has_had_a_device_guarded_with_stands_in_its_alias() -> None:
    guarded = replace(ONE, alias="vmnet-net:nic0/1000/lan/strict/02:00:00:00:00:70")
    found = granted.guards(PLAN, Facts(links=(guarded, TWO), user=0))
    assert found == {"mvn0": device.guard_of("mvn0", guarded.alias)}


def test_a_nic_has_the_mac_of_its_device() -> None:
    nics = assign(PLAN)
    found = granted.as_granted(nics, {NicId("a", 1): ONE})
    assert found[NicId("a", 1)] == replace(nics[NicId("a", 1)], mac=ONE.mac)  # type: ignore[arg-type]
    assert {key: nic for key, nic in found.items() if key != ("a", 1)} == {
        key: nic for key, nic in nics.items() if key != ("a", 1)
    }
