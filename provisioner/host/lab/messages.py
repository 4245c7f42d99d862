"""The messages to the kernel that build a lab of the experiment (see reachability.experiment).

A device that is made in one namespace and lives in another is a link of the first for one word
only: NET_NS_FD, a descriptor of the other namespace.
"""

from collections.abc import Iterator
from ipaddress import ip_interface
from typing import Final

from provisioner.host.netlink import link_codec as speak
from provisioner.host.netlink.address_codec import hold
from provisioner.host.netlink.link_codec import Message
from provisioner.reachability.experiment import NOPROMISC, Lab, Place

_FIRST_INDEX: Final = 100
_NET_NS_FD, _VETH_PEER, _SLAVE_KIND, _SLAVE_DATA = 28, 1, 4, 5  # linux/if_link.h, linux/veth.h
_BRIDGE_SNOOPING, _PORT_HAIRPIN = 23, 4  # IFLA_BR_MCAST_SNOOPING, IFLA_BRPORT_MODE
_NEW: Final = speak.CREATE | speak.EXCL


def wire(lab: Lab, outside: int) -> list[Message]:
    """Make the uplink, a veth whose other end is in the namespace `outside`."""
    peer = bytes(16) + speak.text(speak.IFNAME, _far(lab)) + speak.number(_NET_NS_FD, outside)
    return [
        speak.new(
            speak.text(speak.IFNAME, f"near{lab.number}"),
            speak.mac(speak.ADDRESS, lab.mac(Place.HOST)),
            speak.info("veth", speak.nest(_VETH_PEER, peer)),
            index=_index(lab),
            flags=_NEW,
        )
    ]


def switch(lab: Lab) -> list[Message]:
    """Make the switch, a bridge with the wire as its one port, which reflects or does not."""
    port = speak.text(speak.IFNAME, _far(lab))
    reflect = speak.attribute(_PORT_HAIRPIN, bytes([lab.hairpin]))
    kind = speak.text(_SLAVE_KIND, "bridge")
    return [
        speak.new(
            speak.text(speak.IFNAME, f"switch{lab.number}"),
            speak.mac(speak.ADDRESS, lab.mac(Place.OUTSIDE)),
            speak.info("bridge", speak.attribute(_BRIDGE_SNOOPING, b"\0")),
            index=_index(lab),
            flags=_NEW,
        ),
        speak.new(port, speak.silent()),
        speak.new(port, speak.number(speak.MASTER, _index(lab))),
        speak.new(port, speak.nest(speak.LINKINFO, kind, speak.nest(_SLAVE_DATA, reflect))),
        speak.new(port, on=speak.UP),
    ]


def end(lab: Lab, place: Place, room: int) -> list[Message]:
    """Make a macvlan on the uplink that lives in the namespace `room`."""
    mode = lab.mode(place)
    about = [speak.number(speak.MACVLAN_MODE, speak.MODES[mode])]
    if lab.a == NOPROMISC:
        about.append(speak.flags16(speak.NOPROMISC))
    if listed := lab.sources(place):
        about.append(speak.number(speak.MACADDR_MODE, speak.MACADDR_SET))
        macs = (speak.mac(speak.MACADDR, mac) for mac in listed)
        about.append(speak.nest(speak.MACADDR_DATA, *macs))
    # passthru takes its uplink's MAC, whatever it is told
    own = [] if mode == "passthru" else [speak.mac(speak.ADDRESS, lab.mac(place))]
    return [
        speak.new(
            speak.text(speak.IFNAME, f"end{lab.number}"),
            speak.number(speak.LINK, _index(lab)),
            speak.number(_NET_NS_FD, room),
            speak.info("macvlan", *about),
            *own,
            index=_index(lab),
            flags=_NEW,
        )
    ]


def awake(lab: Lab, place: Place, versions: tuple[int, ...]) -> list[Message]:
    """Bring a place up, with its addresses; without link-local ones it says nothing by itself."""
    return [
        speak.new(speak.silent(), index=_index(lab)),
        speak.new(index=_index(lab), on=speak.UP),
        *_addresses(lab, place, versions),
    ]


def visitor(name: str, uplink: int, mac: str, room: int) -> list[Message]:
    """Make a macvlan with a MAC of its own on an uplink, quiet towards its neighbours there."""
    return [
        speak.new(
            speak.text(speak.IFNAME, name),
            speak.number(speak.LINK, uplink),
            speak.number(_NET_NS_FD, room),
            speak.mac(speak.ADDRESS, mac),
            speak.info("macvlan", speak.number(speak.MACVLAN_MODE, speak.MODES["private"])),
            flags=_NEW,
        )
    ]


def woken(name: str) -> list[Message]:
    """Bring a device up that says nothing by itself."""
    which = speak.text(speak.IFNAME, name)
    on = speak.UP | speak.NOARP | speak.ALLMULTI
    return [speak.new(which, speak.silent()), speak.new(which, on=on)]


def _addresses(lab: Lab, place: Place, versions: tuple[int, ...]) -> Iterator[Message]:
    for text, prefix in zip(lab.addresses(place), (24, 64), strict=True):
        address = ip_interface(f"{text}/{prefix}")
        if address.version in versions:
            yield hold(_index(lab), address)


def _index(lab: Lab) -> int:
    """Give the ifindex of the one device that a lab has in each namespace, but for the port."""
    return _FIRST_INDEX + lab.number


def _far(lab: Lab) -> str:
    return f"far{lab.number}"
