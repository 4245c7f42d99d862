"""What pyroute2 cannot encode is an error before anything is sent."""

import pytest

from provisioner.host.netlink import link_codec
from provisioner.host.netlink.message import Attribute, Message, nested
from provisioner.host.netlink.pyroute2_codec import LinkMessage, encode
from provisioner.plan.choices import Mode


@pytest.mark.parametrize(
    "attribute",
    [
        ("IFLA_NAME", "x"),
        ("IFLA_LINKINFO", nested(("IFLA_KIND", "macvtap"))),
        link_codec.linkinfo("macvtap", ("IFLA_MACVLAN_MODE", "vepa")),
        link_codec.linkinfo("vlan", ("IFLA_VLAN_VID", 7)),
        ("IFLA_AF_SPEC", nested(("AF_INET", nested(("IFLA_INET_CONF", nested(("ARP", 1))))))),
    ],
    ids=lambda attribute: str(attribute)[-30:],
)
def test_an_attribute_that_pyroute2_does_not_know_is_not_dropped(attribute: Attribute) -> None:
    with pytest.raises(ValueError, match=r"pyroute2 cannot encode \w+ in RTM_NEWLINK"):
        encode(link_codec.new(attribute), 1)


def test_a_field_that_pyroute2_does_not_know_is_not_dropped() -> None:
    with pytest.raises(ValueError, match=r"RTM_GETLINK has no field .'ifindex'."):
        encode(Message("RTM_GETLINK", {"ifindex": 1}), 1)


def test_what_is_encoded_is_read_back() -> None:
    sources = ("02:00:00:00:00:0a", "02:00:00:00:00:0b")
    mode = link_codec.macvlan("macvtap", Mode.SOURCE, nopromisc=True, sources=sources)
    named = ("IFLA_IFNAME", "mvt0"), ("IFLA_ADDRESS", "02:00:00:00:00:01")
    message = LinkMessage(encode(link_codec.new(*named, mode, index=7), 1))
    message.decode()
    link = link_codec.link(message)
    assert (link.name, link.index, link.kind, link.mode) == ("mvt0", 7, "macvtap", "source")
    assert (link.nopromisc, link.sources) == (True, sources)
