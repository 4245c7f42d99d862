"""The facts of a host for people, a line each."""

from collections import Counter
from collections.abc import Iterator

from provisioner.fabric.facts import FEATURES, HostFacts, UplinkFacts

_GIB = 1024


def lines(facts: HostFacts) -> Iterator[str]:
    """Return what a host tells of itself."""
    yield (
        f"{facts.name}: vmnet {facts.version}, protocol {facts.protocol}, {facts.architecture}, "
        f"{facts.cores} cores"
    )
    yield (
        f"memory: {facts.free_memory_mib / _GIB:.1f} of {facts.memory_mib / _GIB:.1f} GiB free; "
        f"files of guests: {facts.free_pool_mib / _GIB:.1f} GiB free"
    )
    lacking = [one for one in FEATURES if one not in facts.features]
    without = f"; not: {', '.join(lacking)}" if lacking else ""
    yield f"kernel: {', '.join(facts.features) or 'nothing that vmnet uses'}{without}"
    yield from map(_uplink, facts.uplinks)
    yield from (f"VM {vm.vm} of plan {vm.plan}: {vm.state}" for vm in facts.vms)
    yield from (f"cannot be seen: {trouble}" for trouble in facts.troubles)


def _uplink(uplink: UplinkFacts) -> str:
    modes = Counter(tap.mode or "other" for tap in uplink.taps)
    used = ", ".join(f"{number} {mode}" for mode, number in sorted(modes.items()))
    parts = (
        f"MTU {uplink.mtu}",
        "" if uplink.carrier else "no carrier",
        "the host's own way out" if uplink.carries_default else "",
        f"has {used}" if used else "",
    )
    return f"NIC {uplink.name}: {', '.join(filter(None, parts))}"
