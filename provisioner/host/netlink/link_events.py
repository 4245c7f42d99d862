"""Wait for changes of network links: the kernel tells of each as soon as it has happened."""

import errno
import socket
from types import TracebackType
from typing import ClassVar, Final, Self

from provisioner.dataclass import dataclass
from provisioner.host.netlink import links

_GROUP_LINK: Final = 1  # RTMGRP_LINK of <linux/rtnetlink.h>
_NETLINK_NETFILTER: Final = 12  # <linux/netlink.h>
_GROUP_NFTABLES: Final = 1 << 6  # NFNLGRP_NFTABLES, 7, of <linux/netfilter/nfnetlink.h>
_READ: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class LinkState:
    """What can change of a link that frames pass."""

    up: bool
    carrier: bool


class LinkEvents:
    """A socket that can be read when some link of this network namespace has changed.

    It is only the signal: what has changed is read anew, so no message is missed when the socket's
    buffer was full.
    """

    PROTOCOL: ClassVar[int] = socket.NETLINK_ROUTE
    GROUPS: ClassVar[int] = _GROUP_LINK

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, self.PROTOCOL
        )
        self._socket.bind((0, self.GROUPS))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _value: object, _trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor that can be read when a link has changed."""
        return self._socket.fileno()

    def happened(self) -> bool:
        """Return whether a link has changed since this was asked last."""
        found = False
        while True:
            try:
                found |= bool(self._socket.recv(_READ))
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # there were more than it could keep
                    raise
                found = True


class RuleEvents(LinkEvents):
    """The same of the rules of nftables; only root is told of them."""

    PROTOCOL: ClassVar[int] = _NETLINK_NETFILTER
    GROUPS: ClassVar[int] = _GROUP_NFTABLES


def states() -> tuple[dict[str, LinkState], dict[int, str]]:
    """Return the state of each link by its name, and the links' names by their ifindexes.

    Raises VmnetError when the kernel does not answer.
    """
    found = links.every()
    return {x.name: LinkState(x.up, x.carrier) for x in found}, {x.index: x.name for x in found}
