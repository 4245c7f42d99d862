"""The messages to the kernel that build a lab of the experiment (see reachability.experiment).

A device that is made in one namespace and lives in another is a link of the first for one attribute
only: IFLA_NET_NS_FD, a descriptor of the other namespace.
"""

from ipaddress import ip_interface
from typing import Final

from provisioner.host.netlink import link_codec
from provisioner.host.netlink.addresses import add_addresses
from provisioner.host.netlink.ipv6 import bring_up
from provisioner.host.netlink.link_codec import IFF_UP, macvlan, new, silence
from provisioner.host.netlink.message import Message
from provisioner.reachability.experiment import Lab, LabMode, Place

_FIRST_INDEX: Final = 100


def uplink(lab: Lab, outside: int) -> list[Message]:
    """Make the uplink, a veth whose other end is in the namespace `outside`."""
    peer = ("IFLA_IFNAME", _port(lab)), ("IFLA_NET_NS_FD", outside)
    named = ("IFLA_IFNAME", f"uplink{lab.number}"), ("IFLA_ADDRESS", lab.mac(Place.HOST))
    return [new(*named, link_codec.veth(peer), index=_index(lab), create=True)]


def switch(lab: Lab) -> list[Message]:
    """Make the switch, a bridge with the uplink's peer as its one port, which reflects or not."""
    port = ("IFLA_IFNAME", _port(lab))
    named = ("IFLA_IFNAME", f"switch{lab.number}"), ("IFLA_ADDRESS", lab.mac(Place.OUTSIDE))
    return [
        new(*named, link_codec.bridge(), index=_index(lab), create=True),
        silence(port),
        new(port, ("IFLA_MASTER", _index(lab))),
        new(port, link_codec.hairpin(on=lab.hairpin)),
        new(port, on=IFF_UP),
    ]


def end(lab: Lab, place: Place, namespace: int) -> list[Message]:
    """Make a macvlan on the uplink that lives in another namespace."""
    mode, nopromisc = lab.ends[place].mode, lab.a is LabMode.NOPROMISC
    # passthru takes its uplink's MAC, whatever is asked for
    mac = [] if mode.takes_uplink_mac else [("IFLA_ADDRESS", lab.mac(place))]
    return [
        new(
            ("IFLA_IFNAME", f"end{lab.number}"),
            ("IFLA_LINK", _index(lab)),
            ("IFLA_NET_NS_FD", namespace),
            macvlan("macvlan", mode, nopromisc=nopromisc, sources=lab.sources(place) or None),
            *mac,
            index=_index(lab),
            create=True,
        )
    ]


def activation(lab: Lab, place: Place, versions: tuple[int, ...]) -> list[Message]:
    """Bring a place up, with its addresses; without link-local ones it says nothing by itself."""
    index = _index(lab)
    numbered = zip((4, 6), lab.addresses(place), (24, 64), strict=True)
    addresses = [
        ip_interface(f"{x}/{length}") for version, x, length in numbered if version in versions
    ]
    return [*bring_up(index), *add_addresses(index, addresses)]


def _index(lab: Lab) -> int:
    """Return the ifindex of the one device that a lab has in each namespace, but for the port."""
    return _FIRST_INDEX + lab.number


def _port(lab: Lab) -> str:
    return f"port{lab.number}"
