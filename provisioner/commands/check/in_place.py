"""Measure at guests' macvtaps in their place: who-has first, then a ping of the guest's own.

Who-has alone shows that frames pass, not that pings do: a filter may drop those, a guest may not
take them. A reply to a ping of the guest's address needs both ends: who is asked must find the
guest first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from provisioner.check.readiness import NO_AGENT
from provisioner.check.result import Result, Vantage
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.nic_frames import NicFrames
from provisioner.commands.check.readiness import Readiness
from provisioner.errors import VmnetError
from provisioner.host.probe import mesh, place_ping
from provisioner.host.probe.neighbours import Seen
from provisioner.host.probe.place_ping import PlacePing
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from provisioner.plan.ip import Address

_MESH_S: Final = 2.0
_PING_S: Final = 2.0

Asked = tuple[Pair, "Address"]


def untested(target: "tuple[Pair, Address | None]", note: str) -> Result:
    """Return the result of what was not measured, and why."""
    return Result(*target, None, note=note)


def asked(
    ends: Endpoints, readiness: Readiness, frames: NicFrames, batch: Sequence[Asked]
) -> list[Result]:
    """Ask for all targets at once, each at its source's macvtap."""
    asks = {target: _ask(ends, readiness, *target) for target in batch}
    try:
        answers = mesh.answered(list(asks.values()), _MESH_S)
        seen = {target: found for target, a in asks.items() if (found := _seen(answers, target, a))}
        pings = _pings(ends, readiness, seen)
        replies = place_ping.answered(list(pings.values()), _PING_S)
    except VmnetError as error:
        return [untested(target, error.what) for target in batch]
    results = []
    for target, ask in asks.items():
        if ask in answers.untested:
            results.append(untested(target, answers.untested[ask]))
        elif target in seen:
            ping, by = pings.get(target), seen[target]
            result = _answered(target, by, replies.get(ping) if ping else None, ping)
            results.append(frames.by_another(target, by, Vantage.MACVTAP) or result)
        else:
            results.append(_silent(ends, target))
    return results


def _ask(ends: Endpoints, readiness: Readiness, pair: Pair, address: "Address") -> mesh.Ask:
    """Return the question of a pair, as the guest itself asks it.

    One that must not meet the other knows no MAC, and asks everybody.
    """
    ask = replace(ends.ask(pair, address), own=_own(readiness, pair, address))
    if pair.expected is not Expected.REACHES:
        return replace(ask, target_mac="", target_device="")
    return ask


def _seen(answers: mesh.MeshAnswers, target: Asked, ask: mesh.Ask) -> Seen | None:
    """Return who has answered, as far as it counts.

    Who is promised to reach another one whom its broadcasts do not reach knows it from before:
    that one has asked it.
    """
    known = target[0].expected is Expected.REACHES
    return answers.seen.get(ask) or (answers.unicast_only.get(ask) if known else None)


def _own(readiness: Readiness, pair: Pair, address: "Address") -> "Address | None":
    known = readiness.addresses(pair.source_key)
    return next((a for a in known if a.version == address.version), None)


def _pings(
    ends: Endpoints, readiness: Readiness, seen: Mapping[Asked, Seen]
) -> dict[Asked, PlacePing]:
    """Return the pings for those that have answered who-has, and that ought to answer a ping."""
    found = {}
    for (pair, address), answer in seen.items():
        own = _own(readiness, pair, address)
        if own is not None and pair.expected is Expected.REACHES:
            key = pair.source_key
            found[pair, address] = PlacePing(
                ends.link(key), ends.nics[key].mac, own, answer.mac, address
            )
    return found


def _answered(target: Asked, seen: Seen, took: float | None, ping: PlacePing | None) -> Result:
    by = Vantage.MACVTAP
    if ping and took is None:
        return Result(*target, reached=False, note="answers ARP/ND but no ping", by=by)
    note = "ARP/ND and ping" if ping else "ARP/ND"
    return Result(*target, reached=True, seconds=took or seen.seconds, note=note, by=by)


def _silent(ends: Endpoints, target: Asked) -> Result:
    pair, address = target
    if pair.target_key not in ends.nics and not ends.is_near(pair, address):
        why = "a machine behind a router is asked from inside only"
        return untested(target, f"{pair.source}: {NO_AGENT}, and {why}")
    note = "no answer to ARP/ND"
    return Result(*target, reached=False, note=note, by=Vantage.MACVTAP)
