"""Builds every lab of the measurement at once, and pings everybody from everywhere.

Four namespaces hold all labs: the uplinks with their own stacks, the switches with the machines
outside, the ends a, the ends b. Each lab has an uplink and subnets of its own, so labs never meet,
and four processes' worth of work is done by four threads.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from provisioner.host.lab import messages
from provisioner.host.lab.namespaces import inside, namespaces, run_in, side_by_side
from provisioner.host.netlink.rtnetlink import refused, transact
from provisioner.host.probe import neighbours
from provisioner.host.system.worker import limit
from provisioner.reachability.experiment import Answered, Lab, Measured, Place, labs

if TYPE_CHECKING:
    from provisioner.host.netlink.message import Message
    from provisioner.plan.ip import Address

_ISOLATED_S: Final = 1.0  # silence for this long, with all those tries, is a no
_TRIES: Final = 5
_PATIENCE_S: Final = 5.0  # what should answer and has not is asked again for this long

_IPV4, _IPV6 = 4, 6

Ping = tuple[int, Place, Place, int]


@limit(180.0)  # all modes of an uplink, one after another
def measure() -> Measured:
    """Measure every cell of the table on this kernel.

    Needs CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW; touches nothing of the caller's namespace.
    Raises VmnetError when a right or a driver is missing.
    """
    everything = labs()
    with namespaces(len(Place)) as made:
        where = dict(zip(Place, made, strict=True))
        versions = run_in(where[Place.A], _versions)
        _build(everything, where, versions)
        pings = _pings(everything, versions)
        answered = _pinged(pings, where, _ISOLATED_S, _TRIES)
        documented = (p for p in pings if everything[p[0]].documented(*p[1:3]).works)
        if missing := [p for p in documented if p not in answered]:
            answered |= _pinged(missing, where, _PATIENCE_S, 4 * _TRIES)
    return Measured(os.uname().release, versions, answered)


def _versions() -> tuple[int, ...]:
    """Return the versions of IP that a fresh namespace speaks."""
    switch = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    try:
        enabled = switch.read_text(encoding="ascii").strip() == "0"
    except OSError:
        enabled = False
    return (_IPV4, _IPV6) if enabled else (_IPV4,)


def _build(everything: Sequence[Lab], where: dict[Place, int], versions: tuple[int, ...]) -> None:
    outside, host = where[Place.OUTSIDE], where[Place.HOST]
    ends = [messages.end(lab, at, where[at]) for lab in everything for at in lab.ends]
    _make("veth", host, [messages.uplink(lab, outside) for lab in everything])
    _make("bridge", outside, [messages.switch(lab) for lab in everything])
    _make("macvlan", host, ends)
    for at in Place:
        there = [lab for lab in everything if at in lab.places]
        _make("", where[at], [messages.activation(lab, at, versions) for lab in there])


def _make(kind: str, namespace: int, batches: Sequence[Sequence["Message"]]) -> None:
    """Send messages in a namespace. Raises VmnetError when the kernel refuses one."""
    answered = run_in(namespace, partial(transact, batches))
    if bad := [status for statuses in answered for status in statuses if status]:
        missing = kind and bad[0] == errno.EOPNOTSUPP
        fix = f"the kernel has no {kind} driver: load it with modprobe {kind}" if missing else None
        raise refused(bad[0], f"making a {kind}" if kind else "bringing devices up", fix=fix)


def _pings(everything: Iterable[Lab], versions: Iterable[int]) -> list[Ping]:
    return [
        (lab.number, source, target, version)
        for lab in everything
        for source, target in lab.pings
        for version in versions
    ]


def _pinged(
    pings: Sequence[Ping], where: dict[Place, int], deadline_s: float, tries: int
) -> Answered:
    """Ping from all places at once: some answers come only when the other side asks as well."""
    everything = labs()

    def from_one(source: Place) -> list[Ping]:
        targets = {_target(everything, p): p for p in pings if p[1] is source}
        seen = neighbours.ping(list(targets), deadline_s=deadline_s, tries=tries)
        return [targets[address] for address in seen]

    sources = list(dict.fromkeys(p[1] for p in pings))
    answered = side_by_side([inside(where[s], partial(from_one, s)) for s in sources])
    return frozenset(ping for some in answered for ping in some)


def _target(everything: Sequence[Lab], ping: Ping) -> "Address":
    number, _, target, version = ping
    four, six = everything[number].addresses(target)
    return four if version == _IPV4 else six
