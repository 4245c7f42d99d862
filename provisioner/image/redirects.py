"""Where a server may send a download to: https only, and into no network that it was not in."""

from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urljoin

from provisioner.errors import Exit, VmnetError
from provisioner.image import source
from provisioner.image.source import Url

MOST: Final = 5
STATUSES: Final = frozenset({301, 302, 303, 307, 308})

_NAT64 = ip_network("64:ff9b::/96")
_FIX = "fetch the file by hand and import it, or use another mirror"


class Scope(IntEnum):
    """Where an address is: anywhere, in a private network, on this link, on this host."""

    PUBLIC = 0
    PRIVATE = 1
    LINK = 2
    HOST = 3


def scope(address: str) -> Scope:
    """Tell where an IP address is; one inside another (mapped, NAT64, 6to4) counts itself."""
    here = _inner(ip_address(address.partition("%")[0]))
    if here.is_loopback or here.is_unspecified:
        return Scope.HOST
    if here.is_link_local:
        return Scope.LINK
    if not here.is_global or here.is_multicast or here.is_reserved:
        return Scope.PRIVATE
    return Scope.PUBLIC


def may_meet(first: Scope, now: Scope) -> bool:
    """Tell whether a download that began in one scope may be sent on into another.

    A private network may send on inside private networks. This host, and this link with the
    metadata service of a cloud on it, are only for downloads that began there.
    """
    return now is Scope.PUBLIC or now is first or (now is Scope.PRIVATE and first > Scope.PUBLIC)


def follow(here: Url, location: str | None, hops: int) -> Url:
    """Give the address that a reply redirects to, after `hops` redirects before it.

    Raises VmnetError for a redirect too many, or to anything but https.
    """
    if not location:
        raise refused(here, "redirects to nowhere")
    if hops >= MOST:
        raise refused(here, f"redirects more than {MOST} times")
    target = urljoin(here.bare, location)
    if not target.lower().startswith("https://"):
        raise refused(here, f"redirects to {source.told(target)}, which is not https")
    try:
        return source.address(target)
    except VmnetError as error:
        raise refused(
            here, f"redirects to something that is not an address: {source.told(target)}"
        ) from error


def led_inside(here: Url, address: str) -> VmnetError:
    """Word the refusal of a redirect into a network that outsiders have no business in."""
    return refused(here, f"is where a redirect led, and {address} is not a public address")


def refused(here: Url, what: str) -> VmnetError:
    """Word the refusal of a redirect."""
    return VmnetError(f"{here} {what}", fix=_FIX, status=Exit.HOST_CANNOT)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
