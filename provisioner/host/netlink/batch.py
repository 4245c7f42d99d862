"""Netlink messages as one deed: sent in one call, the first refusal told with its mend."""

import errno
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from provisioner.host.netlink.link_codec import Message
from provisioner.host.netlink.rtnetlink import refused, transact

NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT})
"""What a kernel without IPv6 says to "be silent in IPv6": it is."""


@dataclass(frozen=True, slots=True)
class Write:
    """One message; how to mend what the kernel may answer (by errno), and what of it is fine."""

    message: Message
    mends: Mapping[int, str] = field(default_factory=dict)
    fine: frozenset[int] = frozenset()


def write(doing: str, writes: Sequence[Write]) -> None:
    """Send all messages in one call; a failing one does not stop those behind it.

    Raises VmnetError for the first that was refused.
    """
    (statuses,) = transact([[one.message for one in writes]])
    for one, status in zip(writes, statuses, strict=True):
        if status and status not in one.fine:
            raise refused(status, doing, fix=one.mends.get(status))


def free_index(candidates: Iterable[int], taken: Iterable[int] = ()) -> int:
    """Give the first candidate that no device of this namespace has for its ifindex."""
    gone = set(taken)
    return next(index for index in candidates if index not in gone and not _is_taken(index))


def _is_taken(index: int) -> bool:
    try:
        socket.if_indextoname(index)
    except OSError:
        return False
    return True
