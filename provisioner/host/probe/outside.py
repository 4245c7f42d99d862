"""Find machines beyond this host that answer it: what guests can be asked to reach through it."""

from collections.abc import Collection
from ipaddress import ip_address
from typing import Final

from provisioner.host.netlink import addresses
from provisioner.host.probe import neighbours
from provisioner.plan.ip import Address

_WITHIN_S: Final = 0.5
_TRIES: Final = 3
_MOST: Final = 8


def reached(own: Collection[int]) -> tuple[Address, ...]:
    """Return a router of this host's that answers its ping, for each IP version that has one.

    Default routes come first; routes through devices whose ifindex is in `own` are left out, and so
    are link-local routers, which nobody behind this host can ask for. Raises VmnetError without
    CAP_NET_RAW.
    """
    found = sorted(addresses.routes(), key=lambda route: route.network.prefixlen)
    gateways = (ip_address(x.gateway) for x in found if x.gateway and x.index not in own)
    routers = list(dict.fromkeys(x for x in gateways if not x.is_link_local))[:_MOST]
    seen = neighbours.ping(routers, deadline_s=_WITHIN_S, tries=_TRIES)
    first: dict[int, Address] = {}
    for router in routers:
        if router in seen:
            first.setdefault(router.version, router)
    return tuple(first.values())
