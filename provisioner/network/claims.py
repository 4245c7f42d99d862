"""Which address a frame claims for which MAC; frames come from hosts that nobody vouches for.

ARP (RFC 826, 5227), neighbour discovery (RFC 4861, 4862), a DHCP server's ACK (RFC 2131) and the
source of plain packets. What is cut short, tagged or absurd claims nothing.
"""

from ipaddress import IPv4Address
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.network import frames
from provisioner.network.frames import Arp, Ip, Nd
from provisioner.plan.ip import Address
from provisioner.plan.mac import Mac

_PORTS_OF_DHCP: Final = b"\0\x43\0\x44"  # from 67 to 68
_MAGIC: Final = b"\x63\x82\x53\x63"  # of DHCP's options
_REPLY: Final = 2  # "op" of a DHCP message
_ACK: Final = 5
_MESSAGE_TYPE: Final = 53


@dataclass(frozen=True, slots=True)
class Claim:
    """This MAC has, or claims, this address; `how` names the kind of frame that claims it."""

    mac: str
    address: Address
    how: str


def claim(frame: bytes) -> Claim | None:
    """Return the claim that a frame makes; None when it makes none."""
    found, mac = None, frames.source_mac(frame)
    match frames.parse(frame):
        case Arp() as arp:
            found = Claim(arp.mac, arp.sender, "ARP")
        case Nd(solicits=False, target=target):
            found = Claim(mac, target, "a neighbour advertisement")
        case Nd(sender=sender):  # from :: it only asks whether the address is free
            found = Claim(mac, sender, "IPv6 packets")
        case Ip(IPv4Address(), protocol=17, payload=udp) if udp[:4] == _PORTS_OF_DHCP:
            found = _lease(udp[8:])
        case Ip(source=source):
            found = Claim(mac, source, f"IPv{source.version} packets")
        case None:
            pass
    return found if found and frames.is_one_machine(found.mac, found.address) else None


def _lease(message: bytes) -> Claim | None:
    """Parse a DHCP server's ACK: the address is the client's from now on."""
    if len(message) < 240 or message[0] != _REPLY or message[236:240] != _MAGIC:  # noqa: PLR2004
        return None
    options = message[240:]
    while len(options) > 2:  # noqa: PLR2004
        if options[0] == _MESSAGE_TYPE:
            if options[2] != _ACK:
                return None
            mac = Mac.from_bytes(message[28:34])
            return Claim(mac, IPv4Address(message[16:20]), "a DHCP lease")
        options = options[1:] if options[0] == 0 else options[2 + options[1] :]
    return None
