"""Devices without a plan, decided from literals: names, marks, wishes, and what forbids them."""

from dataclasses import replace
from itertools import islice

import pytest

from provisioner.naming import NET_GROUP, NET_LEAVING_GROUP, WIRE_GROUP, net_ifindexes
from provisioner.network.facts import Facts, Link
from provisioner.network.resources import Macvtap
from provisioner.network.standalone import device, rules
from provisioner.network.standalone.device import Change, Mark, Wish
from provisioner.plan.choices import Mode
from provisioner.plan.scalars import BadValue
from tests.builders.addresses import route

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


MAC = "02:00:00:00:00:70"


@pytest.mark.parametrize(
    "mark",
    [
        Mark("nic0"),
        Mark("nic0", 1000, "lan"),
        Mark("a.b@c", 0, "x"),
        Mark("nic0", 1000, "lan", "strict", MAC),
        Mark("nic0", 0, "", "", MAC),
    ],
)
def test_an_alias_tells_the_mark_that_it_was_made_of(mark: Mark) -> None:
    assert device.mark_of(mark.alias) == mark


@pytest.mark.parametrize(
    "alias",
    [
        "",
        "vmnet-net:",
        "vmnet-net:nic0/x/",
        "vmnet-net:a/0/b/c",
        "vmnet-net:a/0/b/all/02:00:00:00:00:70",
        "vmnet-net:a/0/b/mac/x",
        "other:nic0/0/",
    ],
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
    assert [tap.alias for tap in made] == [f"vmnet-net:nic0/1000/lan/mac/{x.mac}" for x in made]
    assert {replace(tap, name="", mac="", alias="vmnet-net:nic0/1000/lan") for tap in made} == {
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
    first = list(islice(net_ifindexes("mvn0"), 50))
    assert first == list(islice(net_ifindexes("mvn0"), 50))
    assert all(0x10000000 <= index <= 0x7FFFFFF0 for index in first)
    assert len(set(first)) == 50


def test_a_device_that_leaves_source_mode_leaves_its_list() -> None:
    have = Macvtap.from_link(replace(OURS, mode="source", sources=(MAC,)), "nic0")
    assert device.changed(have, Change(mode=Mode.BRIDGE)) == replace(
        have, mode=Mode.BRIDGE, sources=()
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


DEAF = "in mode source a guest hears only the MACs of its list, and that is empty: see --allow"
NO_IPV6 = "an MTU below 1280 leaves no room for IPv6"


@pytest.mark.parametrize(
    ("wish", "uplink", "warnings"),
    [
        (Wish("nic0", Mode.BRIDGE), NIC, []),
        (Wish("nic0", Mode.BRIDGE, mtu=1280), NIC, []),
        (Wish("nic0", Mode.BRIDGE, mtu=1279), NIC, [NO_IPV6]),
        (Wish("nic0", Mode.BRIDGE), replace(NIC, mtu=1279), [NO_IPV6]),
        (Wish("nic0", Mode.SOURCE), NIC, [DEAF]),
        (Wish("nic0", Mode.SOURCE, sources=(MAC,)), NIC, []),
        (
            Wish("nic0", Mode.SOURCE, mtu=68),
            replace(NIC, up=False, carrier=False),
            [DEAF, NO_IPV6, "uplink nic0 is down: nobody outside is reached until it comes up"],
        ),
        (
            Wish("nic0", Mode.BRIDGE),
            replace(NIC, carrier=False),
            ["uplink nic0 has no carrier: nobody outside is reached until it comes up"],
        ),
    ],
)
def test_what_will_work_otherwise_than_one_may_think(
    wish: Wish, uplink: Link, warnings: list[str]
) -> None:
    assert rules.warnings(wish, uplink) == warnings


SOURCE = replace(OURS, mode="source", sources=(MAC, OURS.mac))


@pytest.mark.parametrize(
    ("have", "change", "warnings"),
    [
        (OURS, Change(mtu=1280), []),
        (OURS, Change(mtu=1279), [NO_IPV6]),
        (replace(OURS, mtu=1279), Change(mtu=1278), []),
        (OURS, Change(mode=Mode.SOURCE), [DEAF]),
        (SOURCE, Change(sources=()), [DEAF]),
        (SOURCE, Change(mtu=1400), []),
        (
            SOURCE,
            Change(mode=Mode.VEPA),
            [f"mvn0 forgets its list: to go back, say --allow for each of {MAC} {OURS.mac}"],
        ),
        (replace(SOURCE, sources=()), Change(mode=Mode.VEPA), []),
    ],
)
def test_what_devices_will_do_otherwise_after_a_change(
    have: Link, change: Change, warnings: list[str]
) -> None:
    tap = Macvtap.from_link(have, "nic0")
    pairs = [(tap, device.changed(tap, change))]
    assert rules.change_warnings(pairs) == warnings
    assert rules.change_warnings(pairs * 2) == warnings


@pytest.mark.parametrize(
    ("wish", "facts", "taken", "texts"),
    [
        (
            Wish("nope", Mode.PASSTHRU, mac=MAC),
            ALONE,
            (),
            [
                'there is no network device "nope" on this host',
                "a passthru device bears its uplink's MAC, no other",
            ],
        ),
        (
            Wish("nic0", Mode.PASSTHRU, count=2),
            Facts(links=(replace(NIC, ethernet=False),)),
            (),
            [
                '"nic0" is not an Ethernet device: a macvtap needs one',
                "a passthru device is alone on its uplink, and 2 are asked for",
            ],
        ),
        (
            Wish("nic0", Mode.PASSTHRU, mac=MAC, count=2),
            ALONE,
            (),
            [
                "a passthru device bears its uplink's MAC, no other",
                "a passthru device is alone on its uplink, and 2 are asked for",
                "2 devices cannot have one MAC",
            ],
        ),
        (
            Wish("nic0", Mode.VEPA, nopromisc=True, sources=(MAC,), mtu=1501),
            ALONE,
            (),
            [
                "--no-promisc means something in mode passthru only, not in vepa",
                "--allow means something in mode source only, not in vepa",
                "an MTU of 1501 is above the uplink's: nic0 has 1500",
            ],
        ),
        (
            Wish("nic0", Mode.VEPA, name="a" * 11, count=11),
            ALONE,
            (),
            ['"mvn-aaaaaaaaaaa0" is too long for the name of a device'],
        ),
        (Wish("nic0", Mode.VEPA, name="a" * 11), ALONE, (), []),
        (
            Wish("nic0", Mode.VEPA, name="web", mac=NIC.mac),
            ALONE,
            ("mvn-web",),
            [
                'there is a device "mvn-web" already',
                f'the MAC {NIC.mac} is already in use on nic0, by "nic0"',
            ],
        ),
        (Wish("nic0", Mode.PASSTHRU, take_over=True, nopromisc=True), ALONE, (), []),
        (Wish("nic0", Mode.VEPA, mtu=1500), ALONE, (), []),
    ],
)
def test_every_reason_against_a_wish_is_given_at_once(
    wish: Wish, facts: Facts, taken: tuple[str, ...], texts: list[str]
) -> None:
    assert [text for _, text in told(wish, facts, taken)] == texts


def test_passthru_on_the_nic_of_the_default_route_is_asked_for_twice() -> None:
    routed = replace(ALONE, routes=(route("default", "nic0"),))
    assert [status for status, _ in told(Wish("nic0", Mode.PASSTHRU), routed)] == [3]
    assert told(Wish("nic0", Mode.PASSTHRU, take_over=True), routed) == []


def test_each_reason_comes_with_what_to_do() -> None:
    wish = Wish("nic0", Mode.PASSTHRU, mac=MAC, count=2, sources=(MAC,))
    assert [error.fix for error in rules.complaints(wish, ALONE, ())] == [
        "leave --mac out, or give the uplink that MAC",
        "leave --count out, or use another mode",
        "leave --mac out: each gets its own; or make them one by one",
        "leave --allow out, or use --mode source",
    ]
    named = Wish("nic0", Mode.BRIDGE, name="a" * 11, count=11, nopromisc=True)
    taken = ["mvn-aaaaaaaaaaa0"]
    assert [error.fix for error in rules.complaints(named, ALONE, taken)] == [
        "leave --no-promisc out, or use --mode passthru",
        "use a --name of at most 11 characters, its number among them",
    ]
    found = rules.complaints(Wish("nic0", Mode.BRIDGE, name="x"), ALONE, ["mvn-x"])
    assert [error.fix for error in found] == [
        "use another --name, or take that device away first: vmnet net ls"
    ]


def test_a_change_is_refused_with_what_to_do() -> None:
    tap = Macvtap.from_link(OURS, "nic0")
    change = Change(mode=Mode.PASSTHRU, mtu=9000)
    found = rules.change_complaints([(tap, device.changed(tap, change))], change, SHARED)
    assert [(error.what, error.fix) for error in found] == [
        (
            "mvn0 is in mode bridge, and nothing goes to or from passthru while it lives",
            "make it anew: vmnet net rm mvn0, then vmnet net create --mode passthru …",
        ),
        (
            "an MTU of 9000 is above the uplink's: nic0 has 1500",
            "write 1500 or less, or raise it: ip link set dev nic0 mtu 9000",
        ),
    ]
    (nothing,) = rules.change_complaints([(tap, tap)], Change(), SHARED)
    assert nothing.fix == "say what: --mode, --mtu, --up, … (see --help)"


def test_a_change_is_of_what_is_named_and_of_nothing_else() -> None:
    have = Macvtap.from_link(replace(OURS, mode="passthru", nopromisc=True, queues=2), "nic0")
    assert device.changed(have, Change()) == have
    assert device.changed(have, Change(nopromisc=False)) == replace(have, nopromisc=False)
    assert device.changed(have, Change(up=False, txqueuelen=0, mtu=1400)) == replace(
        have, up=False, txqueuelen=0, mtu=1400
    )
    listed = Macvtap.from_link(replace(OURS, mode="source", sources=(MAC,)), "nic0")
    assert device.changed(listed, Change(sources=())) == replace(listed, sources=())
    assert device.changed(listed, Change(mtu=1400)).sources == (MAC,)
    foreign = replace(listed, alias="theirs")
    assert device.changed(foreign, Change(owner=7)) == foreign


def test_a_wish_for_one_device_is_the_device_as_a_whole() -> None:
    wish = Wish(
        *("nic0", Mode.SOURCE, 1, "web", 7, "lan", MAC, 1400, 2, 9, (OURS.mac,)), nopromisc=True
    )
    assert device.planned(wish, NIC, ()) == (
        Macvtap(
            *("mvn-web", "nic0", Mode.SOURCE, MAC, 1400, NET_GROUP),
            alias=f"vmnet-net:nic0/7/lan/mac/{MAC}",
            altname="",
            nopromisc=True,
            sources=(OURS.mac,),
            queues=2,
            txqueuelen=9,
        ),
    )


@pytest.mark.parametrize(("name", "what"), [("a/b", '"a/b"'), ("a" * 12, f'"{"a" * 12}"')])
def test_a_name_that_does_not_fit_is_answered_with_what_does(name: str, what: str) -> None:
    with pytest.raises(BadValue) as raised:
        device.given_name(name)
    assert (raised.value.what, raised.value.fix) == (
        f"{what} cannot name a device",
        "use letters, digits, . _ and -, at most 11 of them",
    )
    assert device.given_name("A1._-b" + "x" * 5) == "A1._-b" + "x" * 5


def test_a_derived_mac_is_the_same_on_every_run() -> None:
    (tap,) = device.planned(Wish("nic0", Mode.BRIDGE), NIC, ())
    assert (tap.name, tap.mac) == ("mvn0", "02:6c:22:fa:58:65")
