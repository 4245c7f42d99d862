"""Ways to forge from inside a guest, as raw frames; and what an honest one sends.

They are written here byte by byte, without the frames of the product.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, IGMP, TCP, UDP, ICMPV6, VRRP = 1, 2, 6, 17, 58, 112
HOP, ROUTING, FRAGMENT, ESP, AH, OPTIONS, MOBILITY = 0, 43, 44, 50, 51, 60, 135
_ALL = "ff:ff:ff:ff:ff:ff"
_NOBODY = str(IPv4Address(0))


@dataclass(frozen=True)
class Machine:
    """Who somebody is: a MAC, an address of each version, and the link-local one."""

    mac: str
    four: str
    six: str
    local: str


@dataclass(frozen=True)
class Way:
    """One frame: what it is, and whether an honest guest sends it."""

    name: str
    frame: bytes
    honest: bool = False


def raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(to: str, source: str, kind: int, payload: bytes) -> bytes:
    return raw(to) + raw(source) + struct.pack("!H", kind) + payload


def arp(operation: int, mac: str, sender: str, target: str, form: str = "!HHBBH") -> bytes:
    head = struct.pack(form, 1, IPV4, 6, 4, operation)
    return head + raw(mac) + packed(sender) + bytes(6) + packed(target)


def packed(address: str) -> bytes:
    return ip_address(address).packed


def ipv4(source: str, target: str, protocol: int, payload: bytes, fragment: int = 0) -> bytes:
    assert isinstance(ip_address(source), IPv4Address)
    size = 20 + len(payload)
    head = struct.pack("!BBHHHBBH", 0x45, 0, size, 7, fragment, 64, protocol, 0)
    return head + packed(source) + packed(target) + payload


def ipv6(source: str, target: str, header: int, payload: bytes) -> bytes:
    assert isinstance(ip_address(source), IPv6Address)
    head = struct.pack("!IHBB", 6 << 28, len(payload), header, 255)
    return head + packed(source) + packed(target) + payload


def udp(source: int, target: int, payload: bytes = bytes(8)) -> bytes:
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def icmp(kind: int, payload: bytes = bytes(24)) -> bytes:
    return struct.pack("!BBH", kind, 0, 0) + payload


def neighbour(kind: int, target: str, mac: str) -> bytes:
    option = b"\x02\x01" if kind == 136 else b"\x01\x01"
    return icmp(kind, struct.pack("!I", 0x60000000) + packed(target) + option + raw(mac))


def behind(header: int, rest: bytes, size: int = 8) -> bytes:
    """Return an extension header of that size before what is to be hidden."""
    length = size // 8 - 1
    if length:
        return bytes([header, length, 1, size - 4]) + bytes(size - 4) + rest
    return bytes([header, 0, 1, 4, 0, 0, 0, 0]) + rest


def fragment(header: int, offset: int, rest: bytes, *, more: bool) -> bytes:
    return struct.pack("!BBHI", header, 0, offset | more, 77) + rest


def bootp(operation: int, client: str) -> bytes:
    head = struct.pack("!BBBBIHH", operation, 1, 6, 0, 99, 0, 0)
    magic = b"\x63\x82\x53\x63\x35\x01\x01\xff"
    return head + bytes(16) + raw(client) + bytes(10 + 192) + magic


@dataclass(frozen=True)
class _Sender:
    """Who sends, whom it plays, and the MAC to which it sends."""

    me: Machine
    host: Machine
    sibling: Machine
    to: str

    def send(self, name: str, kind: int, payload: bytes, *, honest: bool = False) -> Way:
        return Way(name, ethernet(self.to, self.me.mac, kind, payload), honest)

    def claims(self, kind: int, target: str, source: str = "", mac: str = "") -> bytes:
        message = neighbour(kind, target, mac or self.me.mac)
        return ipv6(source or self.me.six, "ff02::1", ICMPV6, message)

    def six(self, header: int, payload: bytes) -> bytes:
        return ipv6(self.me.local, "ff02::1", header, payload)

    def four(self, source: str, protocol: int, payload: bytes, at: int = 0) -> bytes:
        return ipv4(source, self.sibling.four, protocol, payload, at)

    def _honest(self) -> Iterator[Way]:
        """Return what has to pass."""
        me, host = self.me, self.host
        yield self.send("ARP, its own", ARP, arp(1, me.mac, me.four, host.four), honest=True)
        yield self.send(
            "ARP probe for its own address", ARP, arp(1, me.mac, _NOBODY, me.four), honest=True
        )
        yield self.send("ping", IPV4, ipv4(me.four, host.four, ICMP, icmp(8)), honest=True)
        yield self.send("IPv4 TCP", IPV4, ipv4(me.four, host.four, TCP, bytes(20)), honest=True)
        yield self.send(
            "IPv4 fragment, not the first",
            IPV4,
            ipv4(me.four, host.four, UDP, bytes(16), 4),
            honest=True,
        )
        yield self.send(
            "DHCP, asked for itself",
            IPV4,
            ipv4(_NOBODY, "255.255.255.255", UDP, udp(68, 67, bootp(1, me.mac))),
            honest=True,
        )
        yield self.send(
            "IGMP report", IPV4, ipv4(me.four, "224.0.0.22", IGMP, b"\x22" + bytes(15)), honest=True
        )
        yield self.send(
            "IPv6 ping, own address", IPV6, ipv6(me.six, host.six, ICMPV6, icmp(128)), honest=True
        )
        yield self.send(
            "IPv6 ping, own link-local address",
            IPV6,
            ipv6(me.local, host.local, ICMPV6, icmp(128)),
            honest=True,
        )
        yield self.send(
            "IPv6 UDP in fragments",
            IPV6,
            ipv6(me.six, host.six, FRAGMENT, fragment(UDP, 0, udp(9, 9), more=True)),
            honest=True,
        )
        yield self.send("neighbour solicitation", IPV6, self.claims(135, host.six), honest=True)
        yield self.send(
            "duplicate address detection of its own",
            IPV6,
            self.claims(135, me.local, "::"),
            honest=True,
        )
        yield self.send(
            "neighbour advertisement, own address", IPV6, self.claims(136, me.six), honest=True
        )
        yield self.send(
            "neighbour advertisement, own link-local", IPV6, self.claims(136, me.local), honest=True
        )
        yield self.send(
            "router solicitation", IPV6, self.six(ICMPV6, icmp(133, bytes(4))), honest=True
        )
        yield self.send(
            "MLD report behind a router alert",
            IPV6,
            ipv6(me.local, "ff02::16", HOP, behind(ICMPV6, icmp(143, bytes(24)))),
            honest=True,
        )

    def _ethernet(self) -> Iterator[Way]:
        """Return what is not ARP, IPv4 or IPv6 of its own MAC."""
        me, host, sibling = self.me, self.host, self.sibling
        yield Way(
            "another's MAC",
            ethernet(self.to, sibling.mac, IPV4, ipv4(me.four, host.four, ICMP, icmp(8))),
        )
        yield Way(
            "a broadcast source MAC",
            ethernet(self.to, _ALL, IPV4, ipv4(me.four, host.four, ICMP, icmp(8))),
        )
        inner = ethernet(self.to, me.mac, IPV4, ipv4(sibling.four, host.four, ICMP, icmp(8)))[12:]
        for name, kind in (("802.1Q", 0x8100), ("802.1ad (QinQ)", 0x88A8), ("old QinQ", 0x9100)):
            yield self.send(f"{name} tag", kind, struct.pack("!H", 42) + inner)
        yield self.send("priority tag (VLAN 0)", 0x8100, struct.pack("!H", 0x6000) + inner)
        yield Way(
            "STP bridge message (802.2)",
            ethernet("01:80:c2:00:00:00", me.mac, 38, b"\x42\x42\x03" + bytes(35)),
        )
        yield self.send("IP in 802.2 SNAP", 46, b"\xaa\xaa\x03\0\0\0\x08\0" + bytes(38))
        yield self.send(
            "ARP in 802.2 SNAP",
            46,
            b"\xaa\xaa\x03\0\0\0\x08\x06" + arp(2, me.mac, host.four, sibling.four) + bytes(10),
        )
        for name, kind in (
            ("LLDP", 0x88CC),
            ("EAPOL", 0x888E),
            ("PPPoE discovery", 0x8863),
            ("PPPoE session", 0x8864),
            ("MPLS", 0x8847),
            ("RARP", 0x8035),
            ("MAC control (pause)", 0x8808),
            ("ATA over Ethernet", 0x88A2),
            ("PTP", 0x88F7),
            ("Wake-on-LAN", 0x0842),
            ("an unknown EtherType", 0x9999),
        ):
            yield self.send(name, kind, bytes(46))

    def _arp(self) -> Iterator[Way]:
        """Return forged ARP."""
        me, host, sibling = self.me, self.host, self.sibling
        yield self.send("ARP request as the host", ARP, arp(1, me.mac, host.four, sibling.four))
        yield self.send("ARP reply as the host", ARP, arp(2, me.mac, host.four, sibling.four))
        yield self.send(
            "gratuitous ARP for a sibling's address",
            ARP,
            arp(1, me.mac, sibling.four, sibling.four),
        )
        yield self.send(
            "ARP reply with another's MAC inside", ARP, arp(2, sibling.mac, me.four, host.four)
        )
        yield self.send(
            "ARP probe for a sibling's address", ARP, arp(1, me.mac, _NOBODY, sibling.four)
        )
        strange = (
            struct.pack("!HHBBH", 6, IPV4, 6, 4, 2) + arp(2, me.mac, host.four, sibling.four)[8:]
        )
        yield self.send("ARP of hardware type 6", ARP, strange)
        yield self.send(
            "ARP of other lengths", ARP, struct.pack("!HHBBH", 1, IPV4, 8, 4, 2) + bytes(30)
        )
        yield self.send("inverse ARP", ARP, arp(8, me.mac, me.four, host.four))

    def _ipv4(self) -> Iterator[Way]:
        """Return forged IPv4."""
        me, host, sibling = self.me, self.host, self.sibling
        yield self.send("IPv4 as a sibling", IPV4, ipv4(sibling.four, host.four, ICMP, icmp(8)))
        yield self.send("IPv4 as the host", IPV4, self.four(host.four, UDP, udp(53, 53)))
        yield self.send("IPv4 as nobody knows", IPV4, self.four("10.0.0.200", UDP, udp(53, 53)))
        yield self.send("IPv4 from 0.0.0.0", IPV4, self.four(_NOBODY, TCP, bytes(20)))
        yield self.send("IPv4 fragment as the host", IPV4, self.four(host.four, UDP, bytes(16), 4))
        yield self.send(
            "IPv4 from a multicast address", IPV4, self.four("224.0.0.9", UDP, udp(9, 9))
        )
        yield self.send(
            "DHCP answer", IPV4, self.four(me.four, UDP, udp(67, 68, bootp(2, sibling.mac)))
        )
        yield self.send(
            "DHCP, asked for a sibling's MAC",
            IPV4,
            ipv4(_NOBODY, "255.255.255.255", UDP, udp(68, 67, bootp(1, sibling.mac))),
        )
        yield self.send(
            "DHCP in a fragment without its MAC",
            IPV4,
            self.four(me.four, UDP, udp(68, 67, b""), 0x2000),
        )
        yield self.send("ICMP redirect", IPV4, self.four(me.four, ICMP, icmp(5)))
        yield self.send("ICMP router advertisement", IPV4, self.four(me.four, ICMP, icmp(9)))
        yield self.send("IGMP query", IPV4, self.four(me.four, IGMP, b"\x11" + bytes(7)))
        yield self.send("VRRP", IPV4, ipv4(me.four, "224.0.0.18", VRRP, bytes(20)))

    def _ipv6(self) -> Iterator[Way]:
        """Return forged IPv6 and neighbour discovery."""
        host, sibling = self.host, self.sibling
        yield self.send("IPv6 as the host", IPV6, ipv6(host.six, sibling.six, UDP, udp(9, 9)))
        yield self.send("IPv6 as a sibling", IPV6, ipv6(sibling.six, host.six, UDP, udp(9, 9)))
        yield self.send(
            "IPv6 as the host's link-local", IPV6, ipv6(host.local, sibling.local, UDP, udp(9, 9))
        )
        yield self.send(
            "IPv6 as nobody knows", IPV6, ipv6("fd00::abcd", sibling.six, UDP, udp(9, 9))
        )
        yield self.send(
            "IPv6 as a link-local nobody knows",
            IPV6,
            ipv6("fe80::abcd", sibling.local, UDP, udp(9, 9)),
        )
        yield self.send("IPv6 UDP from ::", IPV6, ipv6("::", sibling.six, UDP, udp(9, 9)))
        yield self.send("IPv6 ping from ::", IPV6, ipv6("::", sibling.six, ICMPV6, icmp(128)))
        for whose, target in (
            ("the host", host.six),
            ("the host's link-local", host.local),
            ("a sibling", sibling.six),
            ("a sibling's link-local", sibling.local),
            ("nobody known", "fd00::abcd"),
        ):
            yield self.send(f"neighbour advertisement for {whose}", IPV6, self.claims(136, target))
        yield self.send(
            "neighbour solicitation as the host", IPV6, self.claims(135, sibling.six, host.six)
        )
        yield self.send(
            "address detection for a sibling's", IPV6, self.claims(135, sibling.six, "::")
        )
        yield self.send(
            "address detection for the host's link-local", IPV6, self.claims(135, host.local, "::")
        )

    def _hidden(self) -> Iterator[Way]:
        """Return what routers say, and what hides from a guard."""
        me, host = self.me, self.host
        advertisement = icmp(134, bytes(12))
        own = neighbour(136, me.local, me.mac)
        theft = neighbour(136, host.six, me.mac)
        yield self.send("router advertisement", IPV6, self.six(ICMPV6, advertisement))
        yield self.send(
            "router advertisement behind hop-by-hop",
            IPV6,
            self.six(HOP, behind(ICMPV6, advertisement)),
        )
        hidden = behind(OPTIONS, behind(OPTIONS, behind(ICMPV6, advertisement)))
        yield self.send(
            "router advertisement behind three headers", IPV6, self.six(OPTIONS, hidden)
        )
        yield self.send(
            "router advertisement behind AH",
            IPV6,
            self.six(AH, bytes([ICMPV6, 4]) + bytes(22) + advertisement),
        )
        yield self.send(
            "router advertisement behind routing",
            IPV6,
            self.six(ROUTING, behind(ICMPV6, advertisement)),
        )
        yield self.send(
            "router advertisement in an atomic fragment",
            IPV6,
            self.six(FRAGMENT, fragment(ICMPV6, 0, advertisement, more=False)),
        )
        chain = behind(ICMPV6, b"", 16)
        yield self.send(
            "router advertisement in fragment 2: the first",
            IPV6,
            self.six(FRAGMENT, fragment(OPTIONS, 0, chain, more=True)),
        )
        yield self.send(
            "router advertisement in fragment 2: the second",
            IPV6,
            self.six(FRAGMENT, fragment(OPTIONS, 16, advertisement, more=False)),
        )
        yield self.send(
            "neighbour advertisement behind a mobility header",
            IPV6,
            self.six(MOBILITY, behind(ICMPV6, theft)),
        )
        yield self.send(
            "neighbour advertisement, its target in fragment 2",
            IPV6,
            self.six(FRAGMENT, fragment(ICMPV6, 0, own[:8], more=True)),
        )
        yield self.send("ND redirect", IPV6, self.six(ICMPV6, icmp(137, bytes(36))))
        yield self.send("MLD query", IPV6, self.six(ICMPV6, icmp(130)))
        yield self.send("multicast router advertisement", IPV6, self.six(ICMPV6, icmp(151)))
        yield self.send("DHCPv6 answer", IPV6, self.six(UDP, udp(547, 546)))
        yield self.send("VRRP over IPv6", IPV6, self.six(VRRP, bytes(20)))

    def _unknowable(self) -> Iterator[Way]:
        """Return what no guard of these can know."""
        me, sibling = self.me, self.sibling
        yield self.send(
            "its own address, at another's MAC in the option",
            IPV6,
            self.claims(136, me.six, mac=sibling.mac),
        )
        yield self.send(
            "DHCPv6, asked with another's identity", IPV6, self.six(UDP, udp(546, 547, bytes(40)))
        )


def ways(me: Machine, host: Machine, sibling: Machine, to: str) -> Iterator[Way]:
    """Return all frames, sent to the MAC `to` where nothing else is part of the forgery."""
    sender = _Sender(me, host, sibling, to)
    yield from sender._honest()
    yield from sender._ethernet()
    yield from sender._arp()
    yield from sender._ipv4()
    yield from sender._ipv6()
    yield from sender._hidden()
    yield from sender._unknowable()
