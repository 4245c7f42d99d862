"""The kernel's links: read, found by name, deleted."""

import errno
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.netlink import ipv6, link_codec
from provisioner.host.netlink.addresses import addresses, neighbours, routes
from provisioner.host.netlink.message import Message
from provisioner.host.netlink.rtnetlink import ask, dump, refused, transact
from provisioner.network.facts import Link, Route
from provisioner.plan.ip import Interface


def observe() -> tuple[tuple[Link, ...], tuple[Route, ...]]:
    """Read every link and the main table's routes of this network namespace."""
    found = every()
    ours = {x.index: x.name for x in found if naming.are_ours(x.name, x.kind)}
    known = addresses()
    # What a router advertisement gave one of our own devices before it ignored them.
    strange = [x for x in known if x.index in ours and not x.permanent]
    own: dict[int, list[Interface]] = {x.index: [] for x in found}
    for x in known:
        if x not in strange:
            own.setdefault(x.index, []).append(x.address)
    routes = tuple(_routes({x.index: x.name for x in found}, {i: own[i] for i in ours}))
    learned = {ours[x.index] for x in strange} | {x.device for x in routes if x.learned}
    links = tuple(
        replace(
            x,
            addresses=tuple(sorted(own[x.index], key=str)),
            wireless=_is_wireless(x),
            learns=x.learns or x.name in learned,
        )
        for x in found
    )
    return _as_far_as_it_can_be_set(links, ours), routes


def every() -> tuple[Link, ...]:
    """Read every link of this network namespace, without its addresses."""
    return tuple(dump(link_codec.get(), link_codec.link))


def at(*indexes: int) -> tuple[Link, ...]:
    """Read the links that have these ifindexes, without their addresses; some may be gone."""
    found = ask([link_codec.get(index) for index in indexes])
    return tuple(link_codec.link(message) for message in found if message)


def named(name: str) -> Link | None:
    """Read the link of that name, without its addresses; None when there is none."""
    index = index_of(name)
    return next(iter(at(index)), None) if index else None


def counters(*indexes: int) -> dict[int, tuple[int, ...]]:
    """Read the counters of links as `link_codec.counters` returns them; some may be gone."""
    found = ask([link_codec.get(index) for index in indexes])
    return {x["index"]: link_codec.counters(x) for x in found if x}


def sent(name: str) -> int:
    """Count the frames that a macvtap's guest has sent since the device was made.

    What a guest sends leaves by the macvtap: the kernel counts it as sent.
    """
    index = index_of(name)
    return counters(index).get(index, (0, 0))[1]


def index_of(name: str) -> int:
    """Return a link's ifindex, 0 when there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def existing_index(name: str) -> int:
    """Return a link's ifindex. Raises VmnetError when there is none of that name."""
    if index := index_of(name):
        return index
    raise VmnetError(f'there is no network device "{name}"', fix="list the devices with: ip link")


def free_index(name: str, taken: Collection[int] = ()) -> int:
    """Return the first ifindex derived from a device's name that no device has here.

    With a chosen ifindex one call can set everything of a device that it makes.
    """
    candidates = naming.link_indexes(name)
    return next(x for x in candidates if x not in taken and not _is_taken(x))


def delete(name: str) -> None:
    """Delete one link; one that is gone already is fine."""
    if index := index_of(name):
        delete_at(index, f'deleting "{name}"')


def delete_at(index: int, doing: str) -> None:
    """Delete the link with an ifindex; `doing` begins the error if the kernel refuses."""
    _delete(link_codec.delete(index=index), doing)


def delete_group(group: int, ours: Callable[[Link], bool]) -> None:
    """Delete every link of a group in one call, after proving that all of them are ours.

    A delete by group takes whatever is in it; when a member is not ours, the rest is deleted one
    by one. Raises VmnetError when the kernel refuses.
    """
    members = [x for x in every() if x.group == group]
    if members and all(map(ours, members)):
        whole = link_codec.delete(("IFLA_GROUP", group))
        _delete(whole, f"deleting the links of group {group:#x}")
        return
    for link in filter(ours, members):
        delete_at(link.index, f'deleting "{link.name}"')


@contextmanager
def creating(*names: str) -> Iterator[tuple[int, ...]]:
    """Choose ifindexes for devices that the block makes; delete them when that fails.

    Raises FileExistsError when a device has one of these names already.
    """
    chosen: dict[str, int] = {}
    for name in names:
        if index_of(name):
            raise FileExistsError(errno.EEXIST, name)
        chosen[name] = free_index(name, chosen.values())
    try:
        yield tuple(chosen.values())
    except VmnetError:
        for name, index in chosen.items():
            if index_of(name) == index:
                delete_at(index, f'deleting "{name}"')
        raise


def _delete(message: Message, doing: str) -> None:
    ((status,),) = transact([[message]])
    if status not in {0, errno.ENODEV, errno.ENXIO}:
        raise refused(status, doing)


def _is_taken(index: int) -> bool:
    try:
        socket.if_indextoname(index)
    except OSError:
        return False
    return True


def _as_far_as_it_can_be_set(links: tuple[Link, ...], ours: Collection[int]) -> tuple[Link, ...]:
    """Pass over the host's IPv6 on our devices where nobody can switch it off: it is not drift."""
    if ipv6.can_be_set():
        return links
    return tuple(replace(x, ipv6=False, learns=False) if x.index in ours else x for x in links)


def _is_wireless(link: Link) -> bool:
    """Return whether a device is a Wi-Fi card; where /sys shows another namespace, none is."""
    place = Path("/sys/class/net", link.name)
    try:
        seen = int((place / "ifindex").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    return seen == link.index and (place / "phy80211").exists()


def _routes(names: dict[int, str], own: dict[int, list[Interface]]) -> Iterator[Route]:
    """Read routes; `own` are the addresses of vmnet's own devices, by ifindex."""
    macs = neighbours()
    for x in routes():
        learned = x.index in own and x.is_learned(own[x.index])
        yield Route(x.network, names.get(x.index, ""), macs.get(x.gateway, ""), learned)
