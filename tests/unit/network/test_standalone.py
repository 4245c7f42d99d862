"""Devices without a plan, decided from literals: names, marks, wishes, and what forbids them."""

from dataclasses import replace
from itertools import islice

import pytest

from provisioner.naming import NET_GROUP, NET_LEAVING_GROUP, WIRE_GROUP
from provisioner.network.facts import Facts, Link
from provisioner.network.resources import Macvtap
from provisioner.network.standalone import device, rules
from provisioner.network.standalone.device import Change, Mark, Wish
from provisioner.plan.choices import Mode
from provisioner.plan.scalars import BadValue

NIC = Link("nic0", 2, "", "02:00:00:00:00:10", 1500, ethernet=True, up=True, carrier=True)
OURS = Link(
    "mvn0",
    7,
    "macvtap",
    "02:00:00:00:00:70",
    1500,
    ethernet=True,
    up=True,
    carrier=True,
    group=NET_GROUP,
    lower=2,
    alias="vmnet-net:nic0/1000/lan",
    mode="bridge",
)
ALONE = Facts(links=(NIC,))
SHARED = Facts(links=(NIC, OURS))
MAC = "02:00:00:00:00:99"


def told(wish: Wish, facts: Facts = ALONE, taken: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """Give each complaint about a wish as its exit status and its sentence."""
    found = rules.complaints(wish, facts, taken)
    assert all(error.fix for error in found)
    return [(error.status, error.what) for error in found]


def told_of_change(have: Link, change: Change) -> list[tuple[int, str]]:
    tap = Macvtap.from_link(have, "nic0")
    pairs = [(tap, device.changed(tap, change))]
    found = rules.change_complaints(pairs, change, SHARED)
    assert all(error.fix for error in found)
    return [(error.status, error.what) for error in found]


@pytest.mark.parametrize(
    ("name", "number", "names"),
    [
        ("", 3, ["mvn1", "mvn3", "mvn4"]),
        ("web", 1, ["mvn-web"]),
        ("web", 2, ["mvn-web0", "mvn-web2"]),
    ],
)
def test_new_devices_take_the_lowest_free_numbers(name: str, number: int, names: list[str]) -> None:
    taken = {"mvn0", "mvn2", "mvn-web1"}
    assert list(device.free_names(name, number, taken)) == names


def test_a_device_is_called_with_or_without_its_prefix() -> None:
    names = ["mvn3", "web", "mvn-web", "mvnx"]
    told_names = [device.kernel_name(name) for name in names]
    assert told_names == ["mvn3", "mvn-web", "mvn-web", "mvn-mvnx"]


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a b", "é", "a" * 12])
def test_what_cannot_name_a_device_is_refused(name: str) -> None:
    with pytest.raises(BadValue):
        device.given_name(name)


@pytest.mark.parametrize("mark", [Mark("nic0"), Mark("nic0", 1000, "lan"), Mark("a.b@c", 0, "x")])
def test_an_alias_tells_the_mark_that_it_was_made_of(mark: Mark) -> None:
    assert device.mark_of(mark.alias) == mark


@pytest.mark.parametrize(
    "alias", ["", "vmnet-net:", "vmnet-net:nic0/x/", "vmnet-net:a/0/b/c", "other:nic0/0/"]
)
def test_the_alias_of_somebody_else_is_no_mark(alias: str) -> None:
    assert device.mark_of(alias) is None


def test_a_device_is_ours_by_all_four_marks_and_by_no_three() -> None:
    assert device.is_ours(OURS)
    assert device.is_ours(replace(OURS, group=NET_LEAVING_GROUP))
    strangers = [
        replace(OURS, name="tap0"),
        replace(OURS, kind="macvlan"),
        replace(OURS, group=0),
        replace(OURS, group=WIRE_GROUP),
        replace(OURS, alias=""),
    ]
    assert [link for link in strangers if device.is_ours(link)] == []


def test_devices_of_one_wish_differ_in_name_and_mac_only() -> None:
    wish = Wish("nic0", Mode.BRIDGE, count=3, owner=1000, label="lan")
    made = device.planned(wish, NIC, ("mvn1",))
    assert [tap.name for tap in made] == ["mvn0", "mvn2", "mvn3"]
    assert len({tap.mac for tap in made}) == 3
    assert {replace(tap, name="", mac="") for tap in made} == {
        replace(
            made[0], name="", mac="", alias="vmnet-net:nic0/1000/lan", group=NET_GROUP, mtu=1500
        )
    }


def test_the_same_wish_gives_the_same_devices_and_another_host_other_macs() -> None:
    wish = Wish("nic0", Mode.BRIDGE, count=2)
    here = device.planned(wish, NIC, ())
    there = device.planned(wish, replace(NIC, mac="02:00:00:00:00:11"), ())
    assert here == device.planned(wish, NIC, ())
    assert {tap.mac for tap in here} & {tap.mac for tap in there} == set()
    assert all(tap.mac.startswith("02:") for tap in (*here, *there))


def test_a_passthru_device_bears_its_uplinks_mac() -> None:
    (tap,) = device.planned(Wish("nic0", Mode.PASSTHRU), NIC, ())
    assert tap.mac == NIC.mac


def test_indexes_are_the_same_on_every_run_and_fit_the_kernel() -> None:
    first = list(islice(device.indexes("mvn0"), 50))
    assert first == list(islice(device.indexes("mvn0"), 50))
    assert all(0x10000000 <= index <= 0x7FFFFFF0 for index in first)
    assert len(set(first)) == 50


def test_a_device_that_leaves_source_mode_leaves_its_list() -> None:
    have = Macvtap.from_link(replace(OURS, mode="source", sources=(MAC,)), "nic0")
    assert device.changed(have, Change(mode=Mode.BRIDGE)) == replace(
        have, mode="bridge", sources=()
    )


def test_a_new_owner_is_written_into_the_alias_and_nothing_else_changes() -> None:
    have = Macvtap.from_link(OURS, "nic0")
    want = replace(have, alias="vmnet-net:nic0/7/lan")
    assert device.changed(have, Change(owner=7)) == want


@pytest.mark.parametrize(
    ("wish", "status", "what"),
    [
        (Wish("nope", Mode.BRIDGE), 2, 'no network device "nope"'),
        (Wish("nic0", Mode.BRIDGE, mtu=9000), 2, "above the uplink's"),
        (Wish("nic0", Mode.PASSTHRU, mac=MAC), 2, "bears its uplink's MAC"),
        (Wish("nic0", Mode.PASSTHRU, count=2), 2, "alone on its uplink"),
        (Wish("nic0", Mode.BRIDGE, mac=MAC, count=2), 2, "cannot have one MAC"),
        (Wish("nic0", Mode.BRIDGE, nopromisc=True), 2, "--no-promisc means"),
        (Wish("nic0", Mode.BRIDGE, sources=(MAC,)), 2, "--allow means"),
    ],
)
def test_what_cannot_be_is_refused_by_itself(wish: Wish, status: int, what: str) -> None:
    ((found, sentence),) = told(wish)
    assert (found, what in sentence) == (status, True), sentence


def test_a_passthru_beside_another_is_a_conflict() -> None:
    ((status, sentence),) = told(Wish("nic0", Mode.PASSTHRU), SHARED)
    assert (status, "mvn0" in sentence) == (3, True), sentence


def test_a_mac_and_a_name_that_are_taken_are_conflicts() -> None:
    wish = Wish("nic0", Mode.BRIDGE, name="web", mac=OURS.mac)
    assert [status for status, _ in told(wish, SHARED, ("mvn-web",))] == [3, 3]


def test_a_good_wish_has_no_complaint() -> None:
    assert told(Wish("nic0", Mode.SOURCE, sources=(MAC,)), SHARED, ("mvn0",)) == []


@pytest.mark.parametrize(
    ("have", "change", "what"),
    [
        (OURS, Change(), "nothing is to be changed"),
        (OURS, Change(mode=Mode.PASSTHRU), "nothing goes to or from passthru"),
        (
            replace(OURS, mode="passthru"),
            Change(mode=Mode.VEPA),
            "nothing goes to or from passthru",
        ),
        (OURS, Change(mtu=9000), "above the uplink's"),
        (OURS, Change(sources=(MAC,)), "--allow means"),
        (OURS, Change(nopromisc=True), "--no-promisc means"),
    ],
)
def test_a_change_that_cannot_be_is_refused(have: Link, change: Change, what: str) -> None:
    ((status, sentence),) = told_of_change(have, change)
    assert (status, what in sentence) == (2, True), sentence


def test_a_change_between_the_modes_that_share_is_welcome() -> None:
    changes = [Change(mode=mode) for mode in Mode if not mode.is_exclusive]
    assert [told_of_change(OURS, change) for change in changes] == [[], [], [], []]
