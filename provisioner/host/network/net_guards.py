"""The spoof guards of devices of `vmnet net`: put in place, read, taken away."""

from collections.abc import Iterable, Mapping

from provisioner.host.network import nftables as nft
from provisioner.network import nft_ruleset, nftables
from provisioner.network.nft_ruleset import Table
from provisioner.network.resources import Guard


def put(guards: Iterable[Guard]) -> None:
    """Put guards in place, whole, whatever is left of them.

    Raises VmnetError when the kernel refuses, and when somebody has a table of such a name.
    """
    wanted = list(guards)
    there = _tables() if wanted else {}
    for guard in wanted:
        have = there.get(guard.name)
        if have is None:
            nft.create(guard)
        elif not nft_ruleset.is_marked(have):
            raise nft_ruleset.taken(guard.family, guard.name, "use another --name")
        elif not nft_ruleset.is_whole(guard, have):
            nft.update(guard)


def gone(guards: Iterable[Guard]) -> set[str]:
    """Return the devices whose guards are not whole, by name."""
    there = _tables()
    return {
        guard.device
        for guard in guards
        if guard.name not in there or not nft_ruleset.is_whole(guard, there[guard.name])
    }


def remove(devices: Iterable[str]) -> None:
    """Take the guards of devices away; none need be there."""
    there = _tables()
    for device in devices:
        have = there.get(nftables.net_table(device))
        if have is not None and nft_ruleset.is_marked(have):
            nft.delete(Guard(have.name, have.family, device, ()))


def _tables() -> Mapping[str, Table]:
    return {x.name: x for x in nft.listing().tables if x.family == "netdev"}
