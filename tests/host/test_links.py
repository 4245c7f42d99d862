"""Real devices, in a network namespace that the test enters."""

import socket
from dataclasses import replace

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.netlink import links, rtnetlink
from provisioner.host.network import macvtap, switch
from provisioner.network.facts import Link
from provisioner.network.resources import Macvtap, Switch
from provisioner.plan.choices import Mode
from tests.builders.addresses import interfaces, route

pytestmark = pytest.mark.usefixtures("namespace")

GROUP = naming.group("lab")
LOWER, FAR = naming.switch_ends("lab", "lan")
SWITCH = Switch(LOWER, FAR, interfaces("10.77.0.1/24", "fd77::1/64"), 1500, GROUP, "vmnet:lab/lan")


def tap(vm: str, **other: object) -> Macvtap:
    made = Macvtap(
        name=naming.macvtap("lab", vm, 0),
        uplink=LOWER,
        mode=Mode.BRIDGE,
        mac=naming.mac("lab", vm, 0),
        mtu=1500,
        group=GROUP,
        alias=naming.alias("lab", vm, 0),
        altname=naming.altname("lab", vm, 0),
    )
    return replace(made, **other)  # type: ignore[arg-type]


def seen() -> dict[str, Link]:
    return {x.name: x for x in links.observe()[0]}


def test_a_switch_is_a_veth_pair_whose_far_end_carries_the_hosts_addresses() -> None:
    switch.create(SWITCH)
    found, routes = links.observe()
    far = next(x for x in found if x.name == FAR)
    assert far.addresses == SWITCH.addresses
    assert (far.up, far.carrier, far.kind, far.group) == (True, True, "veth", GROUP)
    assert set(routes) == {route("10.77.0.0/24", FAR), route("fd77::/64", FAR)}


def test_a_switchs_addresses_are_brought_to_what_they_should_be() -> None:
    switch.create(SWITCH)
    switch.update(replace(SWITCH, addresses=interfaces("10.77.0.9/24"), mtu=1400))
    assert (seen()[FAR].addresses, seen()[FAR].mtu) == (interfaces("10.77.0.9/24"), 1400)


def test_a_macvtap_is_born_with_all_its_marks_and_silent() -> None:
    switch.create(SWITCH)
    macvtap.create_at(tap("web"), 0x12345678)
    assert seen()[tap("web").name] == Link(
        name=naming.macvtap("lab", "web", 0),
        index=0x12345678,
        kind="macvtap",
        mac=naming.mac("lab", "web", 0),
        mtu=1500,
        ethernet=True,
        up=True,
        carrier=True,
        group=GROUP,
        lower=seen()[LOWER].index,
        alias="vmnet:lab/web/0",
        altname="vmnet-lab-web-0",
        mode="bridge",
        txqueuelen=500,
        quiet=True,
        all_multicast=True,
    )


def test_a_living_macvtap_changes_its_mode_and_keeps_its_ifindex() -> None:
    switch.create(SWITCH)
    macvtap.create_at(tap("web"), 0x12345678)
    changed = tap("web", mode=Mode.VEPA, mtu=1400, altname="other")
    macvtap.update_from(changed, seen()[changed.name])
    now = seen()[changed.name]
    assert (now.mode, now.mtu, now.altname, now.index) == ("vepa", 1400, "other", 0x12345678)


def test_what_the_kernel_refuses_leaves_nothing_behind() -> None:
    switch.create(SWITCH)
    macvtap.create_at(tap("web"), 0x12345678)
    before = set(seen())
    twin = tap("db", mac=tap("web").mac)  # the kernel finds out only when it is set up
    with pytest.raises(VmnetError) as caught:
        macvtap.create_at(twin, 0x12345679)
    assert "Address already in use" in caught.value.what
    assert "another one" in (caught.value.fix or "")
    assert set(seen()) == before


def test_an_ifindex_or_a_name_that_is_taken_is_told_apart_from_a_refusal() -> None:
    switch.create(SWITCH)
    macvtap.create_at(tap("web"), 0x12345678)
    with pytest.raises(FileExistsError):
        macvtap.create_at(tap("db"), 0x12345678)
    with pytest.raises(FileExistsError):
        macvtap.create_at(tap("web"), 0x12345679)
    assert seen()[tap("web").name].index == 0x12345678


def test_an_uplink_that_is_not_there_is_named() -> None:
    with pytest.raises(VmnetError, match='there is no network device "nope"'):
        macvtap.create_at(tap("web", uplink="nope"), 0x12345678)


def test_a_plans_links_go_in_one_call() -> None:
    switch.create(SWITCH)
    for n, vm in enumerate(("web", "db", "x")):
        macvtap.create_at(tap(vm), 0x12345678 + n)
    links.delete_group(GROUP, lambda x: naming.are_ours(x.name, x.kind))
    assert set(seen()) == {"lo"}


def test_a_stranger_in_the_group_survives_and_the_plans_own_links_still_go() -> None:
    switch.create(SWITCH)
    switch.create(replace(SWITCH, name="stranger0", peer="stranger1", addresses=()))
    macvtap.create_at(tap("web"), 0x12345678)
    links.delete_group(GROUP, lambda x: naming.are_ours(x.name, x.kind))
    assert set(seen()) == {"lo", "stranger0", "stranger1"}


def test_deleting_what_has_gone_is_fine() -> None:
    links.delete("nope")
    links.delete_group(GROUP, lambda _: True)


def test_a_kernel_that_does_not_answer_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.05)
        with pytest.raises(VmnetError, match=r"has not answered about network devices for 0\.05 s"):
            rtnetlink._received(ours)
