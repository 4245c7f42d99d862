"""Addresses, routes and neighbours of this network namespace, and changes of vmnet's own."""

import errno
from collections.abc import Container, Iterable, Iterator
from typing import Final

from provisioner.host.netlink import address_codec as codec
from provisioner.host.netlink.address_codec import HostAddress, HostRoute
from provisioner.host.netlink.rtnetlink import Write, dump

_IPV6_IS_OFF: Final = (
    "IPv6 is switched off here: sysctl net.ipv6.conf.all.disable_ipv6=0"
    " net.ipv6.conf.default.disable_ipv6=0, or give the host no IPv6 address in this network"
)
_FIXES: Final = dict.fromkeys((errno.EACCES, errno.EAFNOSUPPORT), _IPV6_IS_OFF)
_EXISTS: Final = frozenset({errno.EEXIST})
_GONE: Final = frozenset({errno.ESRCH})  # with the address that it was made for


def every() -> list[HostAddress]:
    """Read all addresses, without link-local ones of IPv6."""
    found = dump(codec.DUMP_ADDRESSES, codec.host_address)
    return [x for x in found if x and not x.link_local]


def of(*indexes: int) -> list[HostAddress]:
    """Read the addresses of some devices, without link-local ones of IPv6."""
    return [x for x in every() if x.index in indexes]


def every_route() -> list[HostRoute]:
    """Read all routes of the main table."""
    return [route for routes in dump(codec.DUMP_ROUTES, codec.host_routes) for route in routes]


def routes_of(index: int) -> list[HostRoute]:
    """Read the plain routes out of a device that somebody has set, routers among them."""
    return [x for x in every_route() if x.index == index and x.is_plain and not x.is_kernels]


def neighbours() -> dict[str, str]:
    """Return the MACs of the neighbours whom the host knows, by address."""
    return dict(dump(codec.DUMP_NEIGHBOURS, codec.neighbour))


def add(index: int, wanted: Iterable[str]) -> Iterator[Write]:
    """Give a device addresses; those that it has already stay as they are.

    All are asked for, since the kernel has removed the other addresses of a subnet with the first
    one of it (promote_secondaries is off by default).
    """
    for address in wanted:
        yield Write(codec.add_address(index, address), _FIXES, _EXISTS)


def remove(have: Iterable[HostAddress], index: int, wanted: Container[str]) -> Iterator[Write]:
    """Remove all addresses but the `wanted` ones on the device `index`.

    Secondary ones first: else their primary takes them along.
    """
    wrong = [x for x in have if x.index != index or x.address not in wanted]
    for x in sorted(wrong, key=lambda x: not x.secondary):
        yield Write(codec.delete_address(x.index, x.address))


def remove_learned(index: int, own: Iterable[str]) -> Iterator[Write]:
    """Remove the routes that the host has learned on a device from router advertisements.

    `own` are the addresses that the device keeps.
    """
    own = tuple(own)
    for x in every_route():
        if x.index == index and x.is_plain and x.is_learned(own):
            yield Write(codec.delete_route(index, x.network), ignored=_GONE)
