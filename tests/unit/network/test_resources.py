"""What each kind of network resource says of itself: identity, needs, exclusions, changes."""

from dataclasses import replace

import pytest

from provisioner.network.facts import Link
from provisioner.network.resources import (
    Dhcp,
    Guard,
    HostAccess,
    Impaired,
    LeftNode,
    LeftWire,
    Macvtap,
    Nat,
    Switch,
    Vlan,
)
from provisioner.plan.choices import Mode
from provisioner.resource import Resource, by_key
from tests.builders.addresses import interfaces

TAP = Macvtap("mvt1", "mvl0", Mode.BRIDGE, "02:00:00:00:00:01", 1500, 7, "a", "b")
SWITCH = Switch("mvl0", "mvh0", (), 1500, 7, "a")
REFLECTING = replace(SWITCH, bridge="mvb0")
ACCESS = HostAccess("mva0", "nic0", "02:00:00:00:00:02", (), (), 1500, 7, "a")
GUARD = Guard("vmnet_lab_mvt1", "netdev", "mvt1", ("m",))
NAT = Nat("vmnet_lab_lan", "inet", "mvh0", ("m",))
DHCP = Dhcp("lan", "mvh0", "/dhcp/lan-1.conf")


@pytest.mark.parametrize(
    ("resource", "label"),
    [
        (TAP, "macvtap mvt1"),
        (SWITCH, "switch mvl0"),
        (GUARD, "guard of mvt1"),
        (replace(GUARD, device=""), "guard vmnet_lab_mvt1, whose macvtap is gone"),
        (NAT, "nat vmnet_lab_lan"),
        (replace(NAT, translates=False), "isolation vmnet_lab_lan"),
        (DHCP, "dhcp lan"),
        (Impaired("mvt1"), "impairment of mvt1"),
        (LeftNode("/dev/tap7"), "node /dev/tap7"),
        (LeftWire("mvx1"), "wire mvx1"),
    ],
)
def test_a_resource_is_called_so_in_steps(resource: Resource, label: str) -> None:
    assert resource.label == label


def test_a_switch_consists_of_its_ends_and_its_bridge() -> None:
    assert (SWITCH.parts, SWITCH.host_side) == (("mvl0", "mvh0"), "mvh0")
    assert (REFLECTING.parts, REFLECTING.host_side) == (("mvl0", "mvh0", "mvb0"), "mvb0")
    assert TAP.parts == ("mvt1",)


@pytest.mark.parametrize(
    ("resource", "needs"),
    [
        (TAP, (("switch", "mvl0"), ("vlan", "mvl0"))),
        (ACCESS, (("switch", "nic0"), ("vlan", "nic0"))),
        (GUARD, (("macvtap", "mvt1"),)),
        (Impaired("mvt1"), (("macvtap", "mvt1"),)),
        (SWITCH, ()),
        (NAT, ()),
    ],
)
def test_what_must_exist_before(resource: Resource, needs: tuple[tuple[str, str], ...]) -> None:
    assert resource.needs() == needs


def test_services_follow_the_switch_whose_host_side_they_are_on() -> None:
    others = by_key([SWITCH, replace(REFLECTING, name="mvl1", peer="mvh0"), TAP])
    reflected = replace(NAT, device="mvb0")
    assert NAT.follows(others) == DHCP.follows(others) == (("switch", "mvl0"),)
    assert reflected.follows(others) == (("switch", "mvl1"),)
    assert replace(NAT, translates=False).follows(others) == ()


def test_whatever_is_on_the_same_uplink_is_in_the_way() -> None:
    assert TAP.excludes(replace(TAP, name="mvt2"))
    assert ACCESS.excludes(replace(TAP, uplink="nic0"))
    assert not ACCESS.excludes(TAP)
    assert not ACCESS.excludes(replace(SWITCH, name="nic0"))


def test_an_old_node_and_old_rules_are_in_the_way_of_a_macvtap() -> None:
    assert TAP.excludes(LeftNode("/dev/tap7"))
    assert TAP.excludes(Impaired("mvt1"))
    assert not TAP.excludes(Impaired("mvt2"))
    assert not TAP.excludes(Vlan("mvt1", "mvl0", 2, 1500, 7, ""))
    assert not TAP.excludes(GUARD)


@pytest.mark.parametrize(
    ("change", "lives"),
    [
        ({"mode": Mode.VEPA}, True),
        ({"mode": Mode.PASSTHRU}, False),
        ({"mtu": 1400}, True),
        ({"mac": "02:00:00:00:00:09"}, False),
        ({"node": "missing"}, True),
        ({"node": "foreign"}, False),
    ],
)
def test_what_a_macvtap_can_change_while_it_exists(change: dict[str, object], lives: bool) -> None:  # noqa: FBT001
    have = replace(TAP, **change)  # type: ignore[arg-type]
    assert have.can_become(TAP, set(change)) is lives
    if "node" not in change:
        assert TAP.can_become(have, set(change)) is lives


def test_a_passthru_macvtap_stays_one_and_changes_the_rest() -> None:
    passthru = replace(TAP, mode=Mode.PASSTHRU)
    assert passthru.can_become(replace(passthru, mtu=1400), {"mtu"})


@pytest.mark.parametrize(
    ("have", "want", "texts"),
    [
        (replace(TAP, up=False), TAP, ["is down"]),
        (TAP, replace(TAP, up=False), ["is up"]),
        (replace(TAP, node="missing"), TAP, ["its /dev/tap node is missing"]),
        (replace(TAP, nopromisc=True), TAP, ["its uplink is not promiscuous"]),
        (TAP, replace(TAP, nopromisc=True), ["it makes the uplink promiscuous"]),
        (replace(TAP, plan="x", vm="y", nic=3), TAP, []),
        (replace(TAP, sources=("a", "b")), TAP, ["sources is a b, want none"]),
        (replace(NAT, marks=(), text="x"), NAT, ["its rules have changed"]),
        (replace(NAT, forwards=()), NAT, ["the host does not forward"]),
        (
            replace(DHCP, config="x", alive=False),
            DHCP,
            ["config has changed", "it has ended or is stopped"],
        ),
        (
            replace(SWITCH, ignores_routers=False, addresses=interfaces("10.0.0.1/24")),
            SWITCH,
            ["addresses is 10.0.0.1/24, want none", "the host learns from routers through it"],
        ),
    ],
)
def test_differences_read_so(have: Resource, want: Resource, texts: list[str]) -> None:
    assert [text for _, text in have.differences(want)] == texts


def test_rules_of_vmnet_link_stay_as_long_as_their_device() -> None:
    assert Impaired("mvt1").stays
    assert not Impaired("mvt1", exists=False).stays
    assert not TAP.stays


def test_a_macvtap_is_what_its_link_is() -> None:
    link = Link(
        *("mvt1", 9, "macvtap", "02:00:00:00:00:01", 1400),
        ethernet=True,
        up=False,
        carrier=False,
        group=5,
        alias="a\nb",
        altname="c\td",
        mode="passthru",
        nopromisc=True,
        sources=("x",),
        queues=3,
        txqueuelen=9,
        quiet=True,
    )
    made = Macvtap.from_link(link, "nic0", plan="lab", node="foreign")
    assert made == Macvtap(
        *("mvt1", "nic0", Mode.PASSTHRU, "02:00:00:00:00:01", 1400, 5, "a\\nb", "c\\td"),
        nopromisc=True,
        sources=("x",),
        queues=3,
        txqueuelen=9,
        up=False,
        node="foreign",
    )
    assert made.plan == "lab"
    assert not Macvtap.from_link(replace(link, quiet=False), "nic0").quiet
    assert not Macvtap.from_link(replace(link, ipv6=True), "nic0").quiet
    assert (Macvtap.from_link(link, "x").node, Macvtap.from_link(link, "x").plan) == ("right", "")
