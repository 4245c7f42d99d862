"""A macvtap as it was asked for against the device that the kernel has made."""

from dataclasses import replace

import pytest

from provisioner.network.facts import Link
from provisioner.network.readback import differences
from provisioner.network.resources import Macvtap
from provisioner.plan.choices import Mode

MAC = "02:00:00:00:00:01"
UPLINK = Link("nic0", 2, "", "02:00:00:00:00:10", 1500, ethernet=True, up=True, carrier=True)
THERE = Link(
    "mvt1",
    7,
    "macvtap",
    MAC,
    1500,
    ethernet=True,
    up=True,
    carrier=True,
    group=5,
    alias="vmnet:lab/web/0",
    altname="vmnet-lab-web-0",
    mode="bridge",
    queues=2,
    txqueuelen=500,
)
TAP = replace(Macvtap.from_link(THERE, "nic0"), mode=Mode.BRIDGE)


def found(tap: Macvtap, have: Link, uplink: Link | None = UPLINK) -> list[str]:
    return [str(one) for one in differences(tap, have, uplink)]


def test_a_device_that_is_as_it_was_asked_for_has_no_difference() -> None:
    assert differences(TAP, THERE, UPLINK) == ()
    assert differences(TAP, THERE, None) == ()


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("name", "x", "name: asked for mvt1, there is x"),
        ("kind", "macvlan", "kind: asked for macvtap, there is macvlan"),
        ("mode", "vepa", "mode: asked for bridge, there is vepa"),
        ("nopromisc", True, "nopromisc: asked for no, there is yes"),
        ("sources", ("a", "b"), "source list: asked for none, there is a b"),
        ("mtu", 1400, "MTU: asked for 1500, there is 1400"),
        ("group", 0, "group: asked for 5, there is 0"),
        ("alias", "", "alias: asked for vmnet:lab/web/0, there is none"),
        ("altname", "a\nb", "altname: asked for vmnet-lab-web-0, there is a\\nb"),
        ("queues", 1, "queues: asked for 2, there is 1"),
        ("txqueuelen", 9, "txqueuelen: asked for 500, there is 9"),
        ("up", False, "up: asked for yes, there is no"),
        ("mac", "02:00:00:00:00:99", f"MAC: asked for {MAC}, there is 02:00:00:00:00:99"),
        ("carrier", False, "carrier: asked for yes, there is no"),
    ],
)
def test_each_thing_that_the_kernel_has_made_otherwise_is_named(
    field: str, value: object, text: str
) -> None:
    assert found(TAP, replace(THERE, **{field: value})) == [text]  # type: ignore[arg-type]


def test_the_device_below_is_the_uplink_that_was_asked_for() -> None:
    assert found(replace(TAP, uplink="nic1"), THERE) == ["uplink: asked for nic1, there is nic0"]
    assert found(replace(TAP, uplink="nic1"), THERE, None) == []


def test_only_a_source_mode_device_is_asked_for_a_list() -> None:
    listed = replace(TAP, sources=(MAC,))
    assert found(listed, THERE) == []
    source = replace(listed, mode=Mode.SOURCE)
    assert found(source, replace(THERE, mode="source")) == [
        f"source list: asked for {MAC}, there is none"
    ]


def test_a_passthru_device_bears_its_uplinks_mac_whatever_was_asked_for() -> None:
    passthru = replace(TAP, mode=Mode.PASSTHRU)
    there = replace(THERE, mode="passthru")
    assert found(passthru, replace(there, mac=UPLINK.mac)) == []
    assert found(passthru, there) == [f"MAC: asked for {UPLINK.mac}, there is {MAC}"]
    assert found(passthru, there, None) == []


def test_a_carrier_is_expected_only_where_the_uplink_has_one_and_the_device_is_up() -> None:
    unplugged = replace(THERE, carrier=False)
    assert found(TAP, unplugged, replace(UPLINK, carrier=False)) == []
    assert found(replace(TAP, up=False), replace(unplugged, up=False)) == []


def test_what_is_not_set_is_named_behind_the_differences() -> None:
    bad = differences(TAP, replace(THERE, mtu=1400), UPLINK, ["NOARP"])
    assert list(map(str, bad)) == [
        "MTU: asked for 1500, there is 1400",
        "NOARP: asked for set, there is not set",
    ]
