"""What this host has for guests: cores, memory, room, and what its kernel can do."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.host import room
from provisioner.host.libvirt import accelerator
from provisioner.host.netlink import drivers, links
from provisioner.host.network import nftables
from provisioner.host.system import paths
from provisioner.network.facts import Facts

_MIB: Final = 1 << 20
_VHOST: Final = Path("/dev/vhost-net")


@dataclass(frozen=True, slots=True)
class HostReading:
    """This host without its plans; memory and the room for guests' files are in MiB."""

    name: str
    architecture: str
    cores: int
    memory_mib: int
    free_memory_mib: int
    free_pool_mib: int
    features: tuple[str, ...]
    facts: Facts  # its links, routes and firewall


def read() -> HostReading:
    """Look at this host; nothing is made or changed. Raises VmnetError when links are hidden."""
    uname = os.uname()
    found, routes = links.observe()
    facts = Facts(links=found, routes=routes, firewall=nftables.firewall())
    whole = room.whole_memory() // _MIB
    pool = next(one for one in room.rooms() if one.is_of_guests)
    return HostReading(
        name=uname.nodename,
        architecture=uname.machine,
        cores=len(os.sched_getaffinity(0)),
        memory_mib=whole,
        free_memory_mib=min(whole, room.memory() // _MIB),
        free_pool_mib=0 if pool.is_read_only else pool.free_bytes // _MIB,
        features=tuple(sorted(_features(facts))),
        facts=facts,
    )


def _features(facts: Facts) -> Iterator[str]:
    # Asking the kernel loads its modules.
    answers = drivers.answers(("macvtap", "vlan"))
    yield from (name for name, there in answers.items() if there)
    if accelerator.may_work(paths.cache()):
        yield "kvm"
    if os.access(_VHOST, os.R_OK | os.W_OK):
        yield "vhost"
    if not facts.firewall.no_guard:
        yield "guard"
    if not facts.firewall.no_nat:
        yield "nat"
