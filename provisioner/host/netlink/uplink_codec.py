"""Messages about the devices that macvtaps are put on: veth pairs, bridges, VLANs.

Numbers are those of linux/if_link.h, linux/veth.h and linux/ip.h.
"""

import struct
from typing import Final

from provisioner.host.netlink import link_codec as m
from provisioner.host.netlink.link_codec import Message

_PEER: Final = 1  # VETH_INFO_PEER
_FORWARD_DELAY, _STP_STATE, _MCAST_SNOOPING = 1, 5, 23  # IFLA_BR_…
_AF_INET, _INET_CONF, _ARP_IGNORE = 2, 1, 19
_PEER_HEAD: Final = struct.Struct("=BxHiII")


def veth(near: bytes, far: bytes, index: int, far_index: int) -> Message:
    """Ask for a veth pair with chosen ifindexes; `near` and `far` are attributes of its ends.

    With chosen ifindexes the messages behind this one can name both ends in the same call.
    """
    peer = m.nest(_PEER, _PEER_HEAD.pack(0, 0, far_index, 0, 0) + far)
    return m.new(near, m.info("veth", peer), index=index, flags=m.CREATE | m.EXCL)


def bridge(name: bytes, index: int, *, birth: bool) -> Message:
    """Ask for a bridge that forwards at once and passes all multicast, or make one be so.

    Without a querier, snooping would in time keep neighbour discovery from the guests.
    """
    about = m.info(
        "bridge",
        m.number(_FORWARD_DELAY, 0),
        m.number(_STP_STATE, 0),
        m.attribute(_MCAST_SNOOPING, b"\0"),
    )
    return m.new(name, about, index=index, flags=m.CREATE | m.EXCL if birth else 0)


def enslave(port: int, bridge_index: int) -> Message:
    """Ask to make a device the port of a bridge, or (0) of none."""
    return m.new(m.number(m.MASTER, bridge_index), index=port)


def hairpin(port: int) -> Message:
    """Ask a port to send frames back to where they came from."""
    mode = m.nest(m.INFO_SLAVE_DATA, m.attribute(m.BRPORT_MODE, b"\1"))
    return m.new(m.nest(m.LINKINFO, m.text(m.INFO_SLAVE_KIND, "bridge"), mode), index=port)


def vlan(about: bytes, index: int, uplink: int, vid: int) -> Message:
    """Ask for an 802.1Q device with a chosen ifindex; `about` are attributes of it."""
    data = m.info("vlan", m.attribute(m.VLAN_ID, struct.pack("=H", vid)))
    return m.new(about, m.number(m.LINK, uplink), data, index=index, flags=m.CREATE | m.EXCL)


def answer_for_own_addresses_only(index: int) -> Message:
    """Ask a device to answer ARP for its own addresses, not for all of the host's (arp_ignore=1).

    The same as net.ipv4.conf.DEVICE.arp_ignore (ip-sysctl.txt), and it works where /proc/sys may
    not be written.
    """
    conf = m.nest(_INET_CONF, m.number(_ARP_IGNORE, 1))
    return m.new(m.nest(m.AF_SPEC, m.nest(_AF_INET, conf)), index=index)
