"""VLANs, as far as this kernel has them: where it has none, the way to get them is told."""

from dataclasses import replace

import pytest

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import link_codec, links, pyroute2_codec
from provisioner.host.netlink.message import Message
from provisioner.host.netlink.pyroute2_codec import LinkMessage
from provisioner.host.network import vlan
from provisioner.network.facts import Link
from provisioner.network.resources import Vlan
from provisioner.reconcile.resources import Look
from tests.host_tools.namespace import ip

VLAN = Vlan(
    name=naming.vlan("lab", "near", 42),
    uplink="near",
    vid=42,
    mtu=1400,
    group=naming.group("lab"),
    alias="vmnet:lab/vlan42",
)
NEAR = Link("near", 7, "veth", "02:00:00:00:00:01", 1500, ethernet=True, up=True, carrier=True)


def sent(message: Message) -> LinkMessage:
    """Read a message as it is sent."""
    read = LinkMessage(pyroute2_codec.encode(message, 1))
    read.decode()
    return read


def test_a_vlan_is_asked_for_by_its_uplink_and_its_number() -> None:
    first, *others = vlan.creation(VLAN, 7, 0x0800002A)
    asked = link_codec.link(sent(first))
    assert (asked.name, asked.index, asked.kind) == (VLAN.name, 0x0800002A, "vlan")
    assert (asked.lower, asked.vid, asked.mtu, asked.group) == (7, 42, 1400, VLAN.group)
    assert first.create
    told = [link_codec.link(sent(other)) for other in others]
    assert [(x.index, x.alias, x.up) for x in told] == [
        (0x0800002A, "", False),
        (0x0800002A, VLAN.alias, False),  # not up before it is out of the host's IPv6
    ]


def test_the_number_of_a_vlan_is_two_bytes_as_the_kernel_wants_it() -> None:
    first = vlan.creation(replace(VLAN, vid=0x0ABC), 7, 8)[0]
    assert b"\x06\x00\x01\x00\xbc\x0a" in pyroute2_codec.encode(first, 1)


def test_a_vlan_is_read_out_of_the_links_of_the_host() -> None:
    device = Link(
        VLAN.name,
        8,
        "vlan",
        NEAR.mac,
        1400,
        ethernet=True,
        up=True,
        carrier=True,
        group=VLAN.group,
        lower=7,
        vid=42,
        alias=VLAN.alias,
    )
    assert vlan.observe(Look("lab", (NEAR, device))) == [VLAN]


@pytest.mark.usefixtures("far")
def test_a_vlan_is_made_or_the_missing_module_is_named() -> None:
    before = links.observe()
    if not vlan.missing():
        vlan.create(VLAN)
        assert vlan.observe(Look("lab", *links.observe())) == [VLAN]
        links.delete(VLAN.name)
    else:
        with pytest.raises(VmnetError) as caught:
            vlan.create(VLAN)
        assert caught.value.status == Exit.HOST_CANNOT
        assert caught.value.what == (
            'VLAN 42 on "near" cannot be made: this kernel has no driver for VLANs:'
            " its module 8021q is neither loaded nor built in"
        )
        assert "modprobe 8021q" in (caught.value.fix or "")
    assert links.observe() == before


@pytest.mark.usefixtures("namespace")
def test_asking_for_the_driver_makes_nothing() -> None:
    before = links.observe()
    vlan.missing()
    assert links.observe() == before


@pytest.mark.usefixtures("namespace")
def test_a_name_that_is_taken_is_told() -> None:
    ip(f"link add name {VLAN.name} type bridge")
    with pytest.raises(FileExistsError):
        vlan.create(VLAN)
