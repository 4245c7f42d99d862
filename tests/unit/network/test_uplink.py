"""What forbids a macvtap on a device, with the way out of it, decided from literals."""

from dataclasses import replace

import pytest

from provisioner.errors import Exit, Where
from provisioner.network import uplink
from provisioner.network.facts import Facts, Link
from provisioner.network.uplink import Refusal
from provisioner.plan.choices import Mode
from tests.builders.addresses import route

NIC = Link("nic0", 2, "", "02:00:00:00:00:10", 1500, ethernet=True, up=True, carrier=True)
LO = Link("lo", 1, "", "00:00:00:00:00:00", 65536, ethernet=False, up=True, carrier=True)
TUN = replace(NIC, name="tun0", index=3, ethernet=False)
MASTER = replace(NIC, name="up\n0", index=9, kind="bridge")


def upper(name: str, kind: str = "macvtap", mode: str = "bridge", alias: str = "") -> Link:
    mac = f"02:00:00:00:01:{len(name):02x}"
    link = Link(name, 20 + len(name), kind, mac, 1500, ethernet=True, up=True, carrier=True)
    return replace(link, lower=NIC.index, mode=mode, alias=alias)


def facts(*others: Link, nic: Link = NIC) -> Facts:
    return Facts(links=(LO, nic, *others))


OURS = upper("mvt1", alias="vmnet:lab/web/0")
DEFAULT = (route("10.0.0.0/24", "nic0"), route("default", "nic0"))


def test_a_refusal_becomes_an_error_at_its_place() -> None:
    error = Refusal("what", "fix", Exit.CONFLICT).error(Where("p", 1, 2))
    assert (error.what, error.fix, error.status) == ("what", "fix", Exit.CONFLICT)
    assert error.where == Where("p", 1, 2)


def test_a_missing_device_is_answered_with_those_that_fit() -> None:
    assert uplink.missing("nic\t1", facts(TUN, upper("mvt1"))) == Refusal(
        'there is no network device "nic\\t1" on this host',
        'did you mean "nic0"? devices that can be an uplink here: nic0',
        Exit.BAD_INPUT,
    )


def test_of_many_devices_twelve_are_listed() -> None:
    many = [replace(NIC, name=f"e{n:02}", index=30 + n) for n in range(13)]
    fix = uplink.missing("xyzzy", Facts(links=tuple(many))).fix
    names = ", ".join(f"e{n:02}" for n in range(12))
    assert fix == f"devices that can be an uplink here: {names}"
    assert uplink.missing("xyzzy", Facts()).fix == "devices that can be an uplink here: none"


@pytest.mark.parametrize(
    ("link", "others", "refusal"),
    [
        (NIC, (), None),
        (
            LO,
            (),
            Refusal(
                '"lo" is a loopback device: no frame leaves it',
                "use a network card, or `switch: true` for a network of the plan's own",
                Exit.BAD_INPUT,
            ),
        ),
        (
            replace(NIC, mac="00:00:00:00:00:00"),
            (),
            Refusal(
                '"nic0" is a loopback device: no frame leaves it',
                "use a network card, or `switch: true` for a network of the plan's own",
                Exit.BAD_INPUT,
            ),
        ),
        (
            TUN,
            (),
            Refusal(
                '"tun0" is not an Ethernet device: a macvtap needs one',
                "use an Ethernet network card, or `switch: true`",
                Exit.HOST_CANNOT,
            ),
        ),
        (
            upper("x", "macvlan"),
            (NIC,),
            Refusal(
                '"x" is a macvlan itself: the kernel would silently use what is below',
                "use nic0 as the uplink",
                Exit.BAD_INPUT,
            ),
        ),
        (
            upper("x"),
            (),
            Refusal(
                '"x" is a macvtap itself: the kernel would silently use what is below',
                "use the device it sits on as the uplink",
                Exit.BAD_INPUT,
            ),
        ),
        (
            replace(NIC, master=9),
            (MASTER,),
            Refusal(
                '"nic0" is a port of "up\\n0": the kernel puts no macvtap on a port',
                "use up\\n0 as the uplink",
                Exit.CONFLICT,
            ),
        ),
        *[
            (
                replace(NIC, master=9),
                (replace(MASTER, kind=kind),),
                Refusal(
                    f'"nic0" is a port of the {kind} "up\\n0", which takes every frame that'
                    " comes in",
                    "use up\\n0 as the uplink",
                    Exit.CONFLICT,
                ),
            )
            for kind in ("bond", "team")
        ],
        (
            replace(NIC, master=9),
            (replace(MASTER, kind="openvswitch"),),
            Refusal(
                '"nic0" is a port of Open vSwitch, which takes every frame that comes in',
                "take it out of the switch (ovs-vsctl del-port), or use another uplink",
                Exit.CONFLICT,
            ),
        ),
        (replace(NIC, master=9), (replace(MASTER, kind="vrf"),), None),
        (replace(NIC, master=9), (), None),
        (
            NIC,
            (upper("other", mode="passthru"),),
            Refusal(
                '"nic0" is used exclusively by the passthru "other"',
                "use another uplink, or take that device away: ip link del dev other",
                Exit.CONFLICT,
            ),
        ),
        (
            NIC,
            (replace(OURS, mode="passthru"),),
            Refusal(
                '"nic0" is used exclusively by the passthru "mvt1" (of plan lab)',
                "use another uplink, or take that device away: vmnet down --name lab",
                Exit.CONFLICT,
            ),
        ),
        (NIC, (upper("mine", mode="passthru"),), None),
        (NIC, (OURS, upper("v", kind="vlan")), None),
        *[
            (
                NIC,
                (upper("i", kind=kind),),
                Refusal(
                    f'"nic0" carries the {kind} "i": the kernel lets no macvtap beside it',
                    "use another uplink, or take that device away: ip link del dev i",
                    Exit.CONFLICT,
                ),
            )
            for kind in ("ipvlan", "ipvtap")
        ],
    ],
)
def test_what_can_carry_no_macvtap_at_all(
    link: Link, others: tuple[Link, ...], refusal: Refusal | None
) -> None:
    assert uplink.device_problem(link, Facts(links=(link, *others)), ("mine",)) == refusal


@pytest.mark.parametrize("mode", Mode)
def test_wifi_carries_the_mode_that_takes_its_own_mac(mode: Mode) -> None:
    wifi = replace(NIC, wireless=True)
    problem = uplink.mode_problem(wifi, facts(nic=wifi), mode)
    assert uplink.mode_problem(NIC, facts(), mode) is None
    if mode is Mode.PASSTHRU:
        assert problem is None
    else:
        assert problem == Refusal(
            '"nic0" is a Wi-Fi card, and an access point drops frames with any MAC but the card\'s'
            f" own: mode {mode} reaches nobody",
            "use mode: passthru (the guest bears the card's own MAC), a wired card, or"
            " `switch: {nat: true}`",
            Exit.HOST_CANNOT,
        )


def test_passthru_needs_the_uplink_for_itself() -> None:
    assert uplink.mode_problem(NIC, facts(OURS, upper("i", "ipvlan")), Mode.PASSTHRU) == Refusal(
        'mode passthru needs "nic0" for itself, but on it sits "mvt1" (of plan lab), "i"',
        "use another uplink or mode, or take that device away: vmnet down --name lab",
        Exit.CONFLICT,
    )


@pytest.mark.parametrize(("count", "more"), [(3, ""), (4, " and 1 more"), (5, " and 2 more")])
def test_of_many_that_sit_there_three_are_named(count: int, more: str) -> None:
    many = [upper("x" * n) for n in range(1, count + 1)]
    problem = uplink.passthru_problem(NIC, facts(*many))
    assert problem is not None
    assert problem.what.endswith(f'sits "x", "xx", "xxx"{more}')


def test_what_is_the_askers_own_is_not_in_the_way() -> None:
    assert uplink.mode_problem(NIC, facts(upper("mine")), Mode.PASSTHRU, ("mine",)) is None


@pytest.mark.parametrize(
    ("alias", "whose", "how"),
    [
        ("vmnet:a-b/web/0", " (of plan a-b)", "vmnet down --name a-b"),
        ("vmnet-net:nic0/0/", "", "ip link del dev m"),
        ("vmnet:a b/web/0", "", "ip link del dev m"),
        ("vmnet:é/web/0", "", "ip link del dev m"),
        ("", "", "ip link del dev m"),
    ],
)
def test_a_device_is_a_plans_when_its_alias_names_one(alias: str, whose: str, how: str) -> None:
    problem = uplink.passthru_problem(NIC, facts(upper("m", alias=alias)))
    assert problem is not None
    assert problem.what.endswith(f'sits "m"{whose}')
    assert problem.fix.endswith(f"take that device away: {how}")


CUT_OFF = Refusal(
    '"nic0" carries this host\'s default route: mode passthru gives the card to the guest, and the'
    " host is cut off (your ssh session, too)",
    "use another uplink or mode; or, at a console of the host, write take_over: true",
    Exit.CONFLICT,
)


def test_passthru_does_not_cut_the_host_off_unasked() -> None:
    here = replace(facts(), routes=DEFAULT)
    assert uplink.mode_problem(NIC, here, Mode.PASSTHRU) == CUT_OFF
    assert uplink.mode_problem(NIC, here, Mode.PASSTHRU, take_over=True) is None
    assert uplink.mode_problem(NIC, here, Mode.BRIDGE) is None


def test_a_guest_that_has_the_card_already_keeps_it() -> None:
    routed = replace(facts(upper("mine", mode="passthru")), routes=DEFAULT)
    assert uplink.passthru_problem(NIC, routed, ("mine",)) is None
    beside = replace(facts(upper("mine")), routes=DEFAULT)
    assert uplink.passthru_problem(NIC, beside, ("mine",)) == CUT_OFF
    elsewhere = replace(upper("mine", mode="passthru"), lower=5)
    assert uplink.passthru_problem(NIC, replace(facts(elsewhere), routes=DEFAULT), ("mine",))


def test_the_default_route_leads_through_one_device() -> None:
    here = replace(facts(), routes=DEFAULT)
    assert uplink.carries_default(NIC, here)
    assert not uplink.carries_default(replace(NIC, name="nic1"), here)
    assert not uplink.carries_default(NIC, replace(here, routes=DEFAULT[:1]))


def test_the_host_speaks_on_a_wire_through_the_device_and_what_sits_on_it() -> None:
    found = facts(upper("a", "macvlan"), upper("bb"), upper("ccc", "ipvlan"), upper("v", "vlan"))
    assert uplink.siblings(NIC, found) == ("nic0", "a", "bb")


def test_an_mtu_is_at_most_the_uplinks() -> None:
    assert uplink.mtu_problem(1500, NIC) is None
    assert uplink.mtu_problem(1501, NIC) == Refusal(
        "an MTU of 1501 is above the uplink's: nic0 has 1500",
        "write 1500 or less, or raise it: ip link set dev nic0 mtu 1501",
        Exit.BAD_INPUT,
    )


def test_ipv6_needs_an_uplink_of_its_least_mtu() -> None:
    assert uplink.least_mtu_problem(1500, NIC) is None
    assert uplink.least_mtu_problem(1501, NIC) == Refusal(
        'the MTU of "nic0", 1500, is too small for the network\'s IPv6: that needs 1501 (RFC 8200)',
        "raise it: ip link set dev nic0 mtu 1501; or do without IPv6",
        Exit.BAD_INPUT,
    )


def test_a_mac_on_the_uplink_is_taken() -> None:
    below = replace(upper("vvv", "vlan"), mac=NIC.mac)
    taken = uplink.taken_macs(NIC, facts(OURS, upper("mine!"), below, TUN), ("mine!",))
    assert taken == {OURS.mac: '"mvt1" (of plan lab)', NIC.mac: '"nic0"'}
    assert uplink.mac_problem("02:00:00:00:00:99", NIC, taken) is None
    assert uplink.mac_problem(OURS.mac, NIC, taken) == Refusal(
        f'the MAC {OURS.mac} is already in use on nic0, by "mvt1" (of plan lab)',
        "give this NIC another MAC",
        Exit.CONFLICT,
    )
