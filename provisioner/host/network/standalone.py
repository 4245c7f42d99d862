"""The devices of `vmnet net`: many made, given to their owners, read and removed in few calls."""

import errno
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import link_codec, links
from provisioner.host.netlink.rtnetlink import refused, transact
from provisioner.host.network import macvtap, tap_node
from provisioner.naming import NET_GROUP, NET_LEAVING_GROUP, net_ifindexes
from provisioner.network.facts import Link
from provisioner.network.resources import Macvtap
from provisioner.network.standalone import device

_TRIES = 64  # of ifindexes for one device, before we give up


def create(wanted: Sequence[Macvtap], taken: Collection[int], records: Path) -> dict[str, int]:
    """Make all of these devices with a right node each, or none; return their ifindexes by name.

    `taken` are the ifindexes of this namespace, `records` is where it is written down which nodes
    vmnet has made itself. Raises VmnetError when the kernel refuses one.
    """
    made: dict[str, int] = {}
    tried: dict[str, int] = {}
    gone = set(taken)
    candidates = {tap.name: _free_indexes(tap.name, gone) for tap in wanted}
    left = list(wanted)
    try:
        while left:
            pairs = [(tap, next(candidates[tap.name], 0)) for tap in left]
            _refuse_exhausted(pairs)
            tried |= {tap.name: index for tap, index in pairs}
            made |= _made(pairs)
            for name in _foreign(made, records):
                links.delete_at(made.pop(name), f'deleting "{name}"')
            left = [tap for tap in left if tap.name not in made]
    except BaseException:
        remove(tried, records)
        raise
    return made


def remove(doomed: Mapping[str, int], records: Path) -> None:
    """Remove devices, name to ifindex, all in one call; those that are gone already are fine.

    Deleted one by one, each costs an RCU grace period, about 17 ms. So they are moved to a group
    of their own first, and that group is deleted: it is proved before that nobody else is in it.
    """
    if not doomed:
        return
    for index in doomed.values():
        tap_node.remove_node(index, records)  # first: the link still tells whose the node was
    here = links.every()
    ours = [x for x in here if _is(x, doomed)]
    strangers = [x for x in here if x.group == NET_LEAVING_GROUP and x not in ours]
    # Ours can be there when an earlier command was killed; anybody else's stays where it is.
    _move([x.index for x in strangers if device.is_ours(x)], NET_GROUP)
    macvtap.prepare_removal(ours)
    _move([x.index for x in ours], NET_LEAVING_GROUP)
    links.delete_group(NET_LEAVING_GROUP, lambda x: _is(x, doomed))
    for folder in (records, records.parent, records.parent.parent):
        with suppress(OSError):  # something is in it, or it was never made
            folder.rmdir()


def _free_indexes(name: str, gone: set[int]) -> Iterator[int]:
    """Return ifindexes that neither this namespace nor /dev knows."""
    for _, index in zip(range(_TRIES), net_ifindexes(name), strict=False):
        if index not in gone and tap_node.is_free(index):
            gone.add(index)
            yield index


def _refuse_exhausted(pairs: Sequence[tuple[Macvtap, int]]) -> None:
    for tap, index in pairs:
        if not index:
            raise VmnetError(
                f'no /dev/tap node is free for the device "{tap.name}"',
                fix="use another --name: look at what is in the way with: ls -l /dev/tap*",
                status=Exit.CONFLICT,
            )


def _made(pairs: Sequence[tuple[Macvtap, int]]) -> dict[str, int]:
    """Make devices; return those that were, leave out those whose ifindex was taken meanwhile."""
    made: dict[str, int] = {}
    for (tap, index), error in zip(pairs, macvtap.create_all(pairs), strict=True):
        match error:
            case None:
                made[tap.name] = index
            case FileExistsError() if links.index_of(tap.name):
                raise VmnetError(
                    f'the device name "{tap.name}" has been taken meanwhile',
                    fix=f"look at it with: ip -d link show dev {tap.name}",
                    status=Exit.CONFLICT,
                )
            case FileExistsError():
                continue
            case _:
                raise error
    return made


def _foreign(made: Mapping[str, int], records: Path) -> list[str]:
    """Make missing nodes; return the devices whose node is another namespace's all the same."""
    states = tap_node.states_of(made)
    missing = {name: made[name] for name, state in states.items() if state == "missing"}
    for name, index in missing.items():
        tap_node.make_node(name, index, records)
    states |= tap_node.states_of(missing)
    return [name for name, state in states.items() if state != "right"]


def _is(link: Link, doomed: Mapping[str, int]) -> bool:
    return doomed.get(link.name) == link.index and device.is_ours(link)


def _move(indexes: Sequence[int], group: int) -> None:
    moved = ("IFLA_GROUP", group)
    for (status,) in transact([link_codec.new(moved, index=index)] for index in indexes):
        if status not in {0, errno.ENODEV}:
            raise refused(status, "moving devices to the group that is removed")
