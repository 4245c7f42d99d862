"""Who of the hosts has answered and what each has: for people, as JSON, and what is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypedDict

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.fabric.document import from_json
from provisioner.fabric.facts import HostFacts, Silent
from provisioner.fabric.placing import listed
from provisioner.fabric.remote.answers import HostAnswer
from provisioner.json_document import json_document
from provisioner.plan.placing.carriers import uplink_on
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan

WORDS: Final = ("host-facts", "--json")
"""What every host is asked."""

TITLES: Final = ("host", "at", "vmnet", "cores", "free memory", "uplinks")
_GIB: Final = 1024
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class CalledHost:
    """A host that was asked for its facts: at which address, and what it has said.

    `skew` is the complaint where its vmnet speaks another protocol; it is silent then, too.
    `clock_error_s` is by how many seconds its clock is certainly wrong, 0 where that is little.
    """

    name: str
    address: str
    said: HostFacts | Silent
    clock_error_s: float = 0.0
    skew: VmnetError | None = None


class CalledHostValue(TypedDict):
    """A host in a document: `why` says why nothing is known of it, "" where its facts are there."""

    name: str
    address: str
    why: str
    clock_error_s: float
    facts: HostFacts | None


class HostsDocument(TypedDict):
    """What vmnet hosts ls, facts and check write with --json."""

    hosts: list[CalledHostValue]
    problems: list[str]


def called(name: str, address: str, said: HostAnswer | Silent) -> CalledHost:
    """Return what the answer of a host comes to."""
    if isinstance(said, Silent):
        return CalledHost(name, address, said)
    error_s = said.clock_error_s if said.has_wrong_clock else 0.0
    try:
        return CalledHost(name, address, from_json(said.stdout, name), error_s)
    except VmnetError as error:
        if said.status:
            lines = said.stderr.strip().splitlines() or [f"it has ended with {said.status}"]
            why = Silent(f"vmnet host-facts fails there: {one_line(lines[0])}")
            return CalledHost(name, address, why, error_s)
        skew = error if "protocol" in error.what else None
        return CalledHost(name, address, Silent(error.what), error_s, skew)


def status(hosts: Sequence[CalledHost]) -> Exit:
    """Return HOST_CANNOT where a host has another vmnet, PARTLY_DONE where one is unknown."""
    if any(host.skew for host in hosts):
        return Exit.HOST_CANNOT
    return Exit.PARTLY_DONE if any(isinstance(x.said, Silent) for x in hosts) else Exit.DONE


def rows(hosts: Sequence[CalledHost]) -> Iterator[tuple[str, ...]]:
    """Return a table of hosts, its titles first."""
    yield TITLES
    for host in hosts:
        match host.said:
            case HostFacts() as facts:
                yield (host.name, host.address, *_row(facts))
            case Silent(why=why):
                yield (host.name, host.address, f"{_UNKNOWN}: {why}", "", "", "")


def _row(facts: HostFacts) -> tuple[str, ...]:
    free = f"{facts.free_memory_mib / _GIB:.1f} of {facts.memory_mib / _GIB:.1f} GiB"
    uplinks = ", ".join(one.name for one in facts.uplinks)
    return (f"{facts.version}, protocol {facts.protocol}", str(facts.cores), free, uplinks)


def as_json(command: str, hosts: Sequence[CalledHost], found: Sequence[str], ends: Exit) -> str:
    """Return hosts, and what is wrong with them, as a document."""
    document = HostsDocument(hosts=list(map(_value, hosts)), problems=list(found))
    return json_document(command, ends, {**document})


def _value(host: CalledHost) -> CalledHostValue:
    facts = host.said if isinstance(host.said, HostFacts) else None
    return {
        "name": host.name,
        "address": host.address,
        "why": host.said.why if isinstance(host.said, Silent) else "",
        "clock_error_s": round(host.clock_error_s, 1),
        "facts": facts,
    }


def clocks(hosts: Sequence[CalledHost]) -> Iterator[str]:
    """Return a line for each host whose clock is wrong."""
    for host in hosts:
        if host.clock_error_s:
            yield f"the clock of {host.name} is wrong by {host.clock_error_s:.0f} s or more"


def problems(plan: "Plan | None", hosts: Sequence[CalledHost]) -> Iterator[str]:
    """Return what keeps hosts from running VMs of the plan, a line each, as far as facts tell it.

    Whether NICs of several hosts are on one LAN is none of it: only frames tell that.
    """
    for host in hosts:
        if isinstance(host.said, Silent):
            yield f"{host.name} is unknown: {host.said.why}"
    yield from clocks(hosts)
    there = {host.name: host.said for host in hosts if isinstance(host.said, HostFacts)}
    for network in plan.networks if plan else ():
        if network.uplink:
            assert plan  # noqa: S101  (mypy)
            yield from _wire(plan, network, there)


def _wire(plan: "Plan", network: "Network", there: Mapping[str, HostFacts]) -> Iterator[str]:
    """Complain about the NICs that one network stands on."""
    mtus: list[tuple[int, str]] = []
    for host, facts in there.items():
        name = uplink_on(plan, host, network) or ""
        found = facts.uplink(name)
        if found is None:
            yield f"{host} has no NIC {name} that can carry network {network.name}"
            continue
        if not found.carrier:
            yield f"NIC {name} of {host} has no carrier: network {network.name} ends there"
        mtus.append((found.mtu, host))
    if len({mtu for mtu, _ in mtus}) > 1:
        ordered: Any = groupby(sorted(mtus), key=lambda one: one[0])
        shown = listed(f"{mtu} on {listed(host for _, host in each)}" for mtu, each in ordered)
        yield f"network {network.name} has several MTUs: {shown}; larger frames are lost"
