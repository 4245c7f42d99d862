"""One look at all plans of a host. It opens no embedded libvirt, and changes nothing."""

import os
import time
from contextlib import suppress

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.inventory import folders, processes
from provisioner.host.netlink import links
from provisioner.host.network import nftables, tap_node
from provisioner.host.system.worker import limit
from provisioner.inventory.found import LockHolder, Reading
from provisioner.network.facts import Link
from provisioner.network.nft_ruleset import Listing


@limit(late="the plans of this host have not been read")
def read() -> Reading:
    """Read the plans of this host; what cannot be read is named, and hides nothing else."""
    troubles: list[str] = []
    places = folders.places()
    # Locks before folders: what a command makes meanwhile is not taken for a leftover.
    locks: dict[str, LockHolder] = {}
    free: list[str] = []
    for _, run in reversed(places):
        held, free = folders.locks(run)
        locks |= held
    found = tuple(folder for state, run in places for folder in folders.read(state, run))
    every: tuple[Link, ...] = ()
    try:
        every = links.every()
    except (VmnetError, OSError) as error:
        troubles.append(f"devices cannot be listed: {error}")
    tables = nftables.listing() if os.geteuid() == 0 else Listing(trouble="only root sees tables")
    if tables.trouble:
        troubles.append(f"nftables: {tables.trouble}")
    qemus, servers = processes.read([state for state, _ in places])
    return Reading(
        now=int(time.time()),
        here=processes.here(),
        folders=found,
        qemus=tuple(qemus),
        servers=tuple(servers),
        links=every,
        tables=tables,
        sockets=processes.sockets(),
        locks=tuple(locks.items()),
        free_locks=tuple(free),
        nodes=tuple(_nodes(every)),
        booted=folders.booted(),
        troubles=tuple(troubles),
    )


def _nodes(found: tuple[Link, ...]) -> list[tuple[str, int]]:
    """Return since when the nodes of plans' macvtaps are there, if they are right ones.

    The kernel tells no device's age, but devtmpfs keeps when a node was made.
    """
    taps = {x.name: x.index for x in found if x.kind == "macvtap" and naming.is_group(x.group)}
    ages = []
    with suppress(VmnetError, OSError):
        for name, state in tap_node.states_of(taps).items():
            if state == "right":
                ages.append((name, int(tap_node.path_of(taps[name]).stat().st_ctime)))
    return ages
