"""The host's addresses on vmnet's own devices: what is there, what goes, what comes."""

import errno
from collections.abc import Container, Iterable, Iterator
from ipaddress import ip_interface
from typing import Final

from provisioner.host.netlink import address_codec as a
from provisioner.host.netlink.address_codec import Held, Path
from provisioner.host.netlink.batch import Write
from provisioner.host.netlink.rtnetlink import dump

_IPV6_IS_OFF: Final = (
    "IPv6 is switched off here: sysctl net.ipv6.conf.all.disable_ipv6=0"
    " net.ipv6.conf.default.disable_ipv6=0, or give the host no IPv6 address in this network"
)
_MENDS: Final = dict.fromkeys((errno.EACCES, errno.EAFNOSUPPORT), _IPV6_IS_OFF)
_THERE: Final = frozenset({errno.EEXIST})
_GONE: Final = frozenset({errno.ESRCH})  # with the address that it was made for


def held(*indexes: int) -> list[Held]:
    """List the addresses that devices have, without link-local ones of IPv6."""
    every = map(a.held, dump(a.all_addresses()))
    return [x for x in every if x.index in indexes and not x.link_local]


def paths(index: int) -> list[Path]:
    """List the routes out of a device that somebody has set, routers among them."""
    return [x for x in _ways(index) if not x.is_kernels]


def forget(index: int, own: Iterable[str]) -> Iterator[Write]:
    """Take away the routes that the host has learned on a device from router advertisements.

    `own` are the addresses that the device keeps.
    """
    own = tuple(own)
    for x in _ways(index):
        if a.is_learned(x.network, x.protocol, own):
            yield Write(a.lead_no_more(index, ip_interface(x.network)), fine=_GONE)


def _ways(index: int) -> Iterator[Path]:
    every = map(a.path, dump(a.all_routes()))
    return (x for x in every if x is not None and x.index == index)


def let_go(have: Iterable[Held], side: int, wanted: Container[str]) -> Iterator[Write]:
    """Take all addresses away but the `wanted` ones on the device `side`.

    Secondary ones first: else their primary takes them along.
    """
    wrong = [x for x in have if x.index != side or x.address not in wanted]
    for x in sorted(wrong, key=lambda x: not x.secondary):
        yield Write(a.let_go(x.index, ip_interface(x.address)))


def hold(side: int, wanted: Iterable[str]) -> Iterator[Write]:
    """Give a device addresses; those that it has already stay as they are.

    All are asked for, since the kernel has taken the other addresses of a subnet away with the
    first one of it (promote_secondaries is off by default).
    """
    for address in wanted:
        yield Write(a.hold(side, ip_interface(address)), _MENDS, _THERE)
