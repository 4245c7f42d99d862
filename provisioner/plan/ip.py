"""IP values of a plan: text in, address, subnet, pool or domain out, or a complaint and its fix."""

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

from provisioner.pattern import pattern
from provisioner.plan.scalars import BadValue, flag, is_flag, many, quoted, scalar

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network

ANY_DOMAIN = "any"
"""The word for every domain."""

DOMAIN = pattern(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LONGEST_DOMAIN = 253  # RFC 1035, 2.3.4, as text
LEAST_MTU_OF_IPV6 = 1280  # bytes: RFC 8200, 5

LONGEST_PREFIX = {4: 30, 6: 126}
SHORTEST_PREFIX = 8


def is_domain(text: str) -> bool:
    """Return whether a text is a domain of DNS and nothing else, in small letters, no dot last."""
    return len(text) <= LONGEST_DOMAIN and bool(DOMAIN.fullmatch(text))


def domain(value: object) -> str:
    """Return a domain of DNS in small letters, or the word for all of them."""
    text = scalar(value).lower()
    if not is_domain(text):
        raise BadValue(
            f"{quoted(text)} is not a domain",
            f"write it as home.example.org, one in other letters as xn--…; {ANY_DOMAIN} for all",
        )
    return text


def subnet(value: object) -> Subnet:
    """Parse a subnet such as 10.77.0.0/24 that has room for guests."""
    text = scalar(value)
    head, slash, length = text.partition("/")
    try:
        loose = ip_network(text, strict=False)
    except ValueError:
        loose = None
    if loose is None or not slash or not length.isdecimal() or "%" in head:
        raise BadValue(f"{quoted(text)} is not a subnet", "write it like 10.77.0.0/24 or fd77::/64")
    if str(ip_address(head)) != str(loose.network_address):
        raise BadValue(f"{quoted(text)} is an address inside a subnet", f"write {loose}")
    longest = LONGEST_PREFIX[loose.version]
    if not SHORTEST_PREFIX <= loose.prefixlen <= longest:
        raise BadValue(
            f"{quoted(text)} is not a size for a subnet",
            f"use a prefix from /{SHORTEST_PREFIX} to /{longest}",
        )
    _usable(text, loose.network_address)
    return loose


def address(value: object) -> Address:
    """Parse a unicast address that a machine can bear, without a prefix."""
    text = scalar(value)
    try:
        found = ip_address(text)
    except ValueError:
        raise BadValue(
            f"{quoted(text)} is not an address", "write it like 10.77.0.1 or fd77::1"
        ) from None
    _usable(text, found)
    return found


def is_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address, without a prefix or a zone."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def interface(value: object) -> Interface:
    """Parse an address with its prefix; one without gets /32 or /128, to be filled in later."""
    text = scalar(value)
    head, slash, length = text.partition("/")
    try:
        found = ip_interface(text)
    except ValueError:
        found = None
    if found is None or (slash and not length.isdecimal()):
        raise BadValue(
            f"{quoted(text)} is not an address", "write it like 10.77.0.5/24 or fd77::5/64"
        )
    _usable(head, found.ip)
    return found


def is_bare(given: Interface) -> bool:
    """Return whether an address came without a prefix, or with the one that means no subnet."""
    return given.network.prefixlen == given.max_prefixlen


def completed(given: tuple[Interface, ...], subnets: tuple[Subnet, ...]) -> tuple[Interface, ...]:
    """Return addresses, each without a prefix with the one of the subnet of its IP version."""
    lengths = {subnet.version: subnet.prefixlen for subnet in subnets}
    return tuple(
        ip_interface(f"{one.ip}/{lengths[one.version]}")
        if is_bare(one) and one.version in lengths
        else one
        for one in given
    )


def first_usable(subnet: Subnet) -> Interface:
    """Return the lowest address that a machine can bear, with the subnet's prefix."""
    return ip_interface(f"{subnet.network_address + 1}/{subnet.prefixlen}")


def is_host(subnet: Subnet, one: Address) -> bool:
    """Return whether an address of the subnet names a machine.

    IPv4's first and last do not (network, broadcast: RFC 1122), nor does IPv6's first (the
    routers' anycast address: RFC 4291, 2.6.1).
    """
    if one == subnet.network_address:
        return False
    return subnet.version == 6 or one != subnet.broadcast_address  # noqa: PLR2004


def pool(value: object) -> tuple[Address, Address]:
    """Parse a range such as 10.0.0.10-10.0.0.20; both ends belong to it."""
    if isinstance(value, list | tuple):
        ends = [scalar(end) for end in value]
    else:
        ends = [end.strip() for end in scalar(value).split("-")]
    fix = "write it like 10.77.0.10-10.77.0.20"
    if len(ends) != 2:  # noqa: PLR2004  (a range has two ends)
        raise BadValue(f"{quoted('-'.join(ends))} is not a range of addresses", fix)
    first, last = (address(end) for end in ends)
    if first.version != last.version or int(first) > int(last):
        raise BadValue(f"{quoted(f'{first}-{last}')} does not run from low to high", fix)
    return first, last


def host_access(value: object) -> tuple[Address, ...] | None:
    """Parse true (addresses are derived), false, or the address that guests meet the host at."""
    if value is None or is_flag(value):
        return () if value is not None and flag(value) else None
    return tuple(address(one) for one in many(value))


def _usable(text: str, found: Address) -> None:
    """Refuse addresses that mean something else than one machine on this network."""
    reason = None
    if isinstance(found, IPv6Address):
        reason = _why_not_v6(found)
    elif found.is_loopback or found.is_multicast or found.is_reserved or int(found) >> 24 == 0:
        reason = "is a reserved address"
    if reason:
        raise BadValue(
            f"{quoted(text)} {reason}", "use one of a private range, such as 10.77.0.5 or fd77::5"
        )


def _why_not_v6(found: IPv6Address) -> str | None:
    if found.ipv4_mapped is not None:
        return "is an IPv4 address in IPv6 clothes"
    if found.is_link_local:
        return "is a link-local address: the guest makes its own"
    if found.scope_id is not None:
        return "names a zone, which only this host knows"
    if found.is_loopback or found.is_multicast or found.is_unspecified:
        return "is a reserved address"
    return None
