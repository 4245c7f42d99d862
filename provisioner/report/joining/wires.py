"""How large packets may be on the wire between two hosts, as their guests have measured it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Final

from provisioner.check.result import Result
from provisioner.network.facts import Chosen

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan

_PATH: Final = "path "
_PASSED: Final = re.compile(r"ping of ([0-9]{1,6}) bytes")
_LOST: Final = re.compile(r"packets of ([0-9]{1,6}) bytes do not pass")


def measured(
    plan: "Plan", homes: Mapping[str, str], results: Iterable[Result]
) -> dict[str, Chosen]:
    """Return what passes between each two hosts that have guests on one network.

    Guests ping those of other hosts with the largest packets that both may send. A reply is as
    large as what it replies to, so each ping is of both directions.
    """
    every = list(results)
    found: dict[str, Chosen] = {}
    for network in plan.networks:
        vms = {key.vm for key, _ in plan.nics_on(network)}
        hosts = [host for host in plan.hosts if any(homes.get(vm) == host for vm in vms)]
        for pair in combinations(hosts if network.uplink else (), 2):
            between = list(_between(every, network, homes, {*pair}))
            if between:
                found[f"{_PATH}{pair[0]} - {pair[1]} on {network.name}"] = _judged(network, between)
    return found


def lines(chosen: Mapping[str, Chosen]) -> Iterator[str]:
    """Return a line for all paths of a report of which the same was measured."""
    found: dict[str, list[str]] = {}
    for of, one in chosen.items():
        if of.startswith(_PATH):
            found.setdefault(one.what, []).append(of.removeprefix(_PATH))
    for what, paths in found.items():
        yield f"between hosts, {'; '.join(paths)}: {what}"


def _between(
    results: Iterable[Result], network: "Network", homes: Mapping[str, str], hosts: set[str]
) -> Iterator[Result]:
    for result in results:
        pair = result.pair
        ends = {homes.get(pair.source, ""), homes.get(pair.target, "")}
        if pair.network == network.name and ends == hosts:
            yield result


def _judged(network: "Network", results: Iterable[Result]) -> Chosen:
    tag = f", in frames of VLAN {network.vlan}" if network.vlan else ""
    passed: tuple[int, str] = (0, "")
    for one in results:
        how = f"measured from {one.pair.source} to {one.pair.target} and back{tag}"
        if lost := _LOST.fullmatch(one.wrong):
            return Chosen(f"packets of {lost[1]} bytes do not pass", how)
        if one.reached and (size := _PASSED.fullmatch(one.note)):
            passed = max(passed, (int(size[1]), how))
    if not passed[0]:
        return Chosen("not measured", f"no guest has reached one of the other host{tag}")
    return Chosen(f"packets of {passed[0]} bytes pass", passed[1])
