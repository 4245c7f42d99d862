"""What one host gets of a plan: a plan of its own, which vmnet on that host brings up as any other.

It has the VMs that are there, what their networks are called there, the addresses that the whole
plan gives them, and the VMs that are elsewhere as machines, so that they are measured, too.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from provisioner.dataclass import dataclass
from provisioner.fabric.facts import HostFacts
from provisioner.fabric.parts.elsewhere import machines
from provisioner.fabric.parts.lines import lines
from provisioner.network.addressing import assign, with_macs
from provisioner.plan.load.expand import shape
from provisioner.plan.load.variables import kept, literal
from provisioner.plan.nic_id import NicId, numbered
from provisioner.plan.placing.carriers import uplink_on
from provisioner.plan.scalars import ISOLATE_PLAN, many

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioner.fabric.placing import Fleet
    from provisioner.network.addressing import Nics
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Network, Plan

_PLACING: Final = ("hosts", "placement", "checks", "networks", "vms")
"""The keys of a plan that are written anew."""


@dataclass(frozen=True, slots=True)
class HostPart:
    """What a host gets of a plan: the text, and which VMs are in it."""

    host: str
    text: str
    vms: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the text: two parts that have the same are the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def part_of(
    plan: Plan, places: Places, host: str, homes: Mapping[str, str], nics: Nics
) -> HostPart:
    """Return what a host gets of a plan, as YAML.

    `homes` says for each VM that is placed on which host it is, `nics` what each NIC has: see
    `fleet_nics`. The order of either does not matter.
    """
    here = [vm.name for vm in plan.vms if homes.get(vm.name) == host]
    shaped = shape(kept(places.root))
    used = {nic.network for vm in here for nic in plan.vm(vm).nics}
    known = machines(plan, host, homes, nics)
    data: dict[str, Any] = {k: v for k, v in shaped.data.items() if k not in _PLACING}
    data["networks"] = {
        entry["name"]: _network(plan, plan.network(entry["name"]), host, entry, nics, here)
        for entry in shaped.data["networks"]
        if entry["name"] in used
    }
    if known:
        data["hosts"] = known
    data["checks"] = [literal(line) for line in lines(plan, here, known)]
    data["vms"] = {
        entry["name"]: _vm(plan, entry, nics, here)
        for entry in shaped.data["vms"]
        if entry["name"] in here
    }
    return HostPart(host, _written(data), tuple(here))


def fleet_nics(plan: Plan, fleet: Fleet, homes: Mapping[str, str]) -> dict[NicId, Any]:
    """Return what each NIC has by the whole plan, and the MACs that only its host knows."""
    found: dict[NicId, Any] = {}
    derived = assign(plan)
    for host in sorted(set(homes.values())):
        facts = fleet.get(host)
        macs = {}
        for network in plan.networks:
            name = uplink_on(plan, host, network)
            uplink = facts.uplink(name) if isinstance(facts, HostFacts) and name else None
            if uplink:
                macs[network.name] = uplink.mac
        at = with_macs(plan, derived, macs)
        found |= {key: nic for key, nic in at.items() if homes.get(key.vm) == host}
    return {key: found.get(key, nic) for key, nic in derived.items()}


def _network(
    plan: Plan,
    network: Network,
    host: str,
    entry: Mapping[str, Any],
    nics: Nics,
    here: list[str],
) -> dict[str, Any]:
    data = {key: value for key, value in entry.items() if key != "name"}
    if name := uplink_on(plan, host, network):
        data["uplink"] = literal(name)
    return _isolating(_allowing(data, network.allow, nics, here), plan, nics, here)


def _vm(plan: Plan, entry: Mapping[str, Any], nics: Nics, here: list[str]) -> dict[str, Any]:
    vm = plan.vm(entry["name"])
    data = {key: value for key, value in entry.items() if key not in {"name", "on", "after"}}
    if after := [other for other in vm.after if other in here]:
        data["after"] = after
    data["nics"] = []
    for (key, nic), given in zip(numbered(vm.name, vm.nics), many(entry["nics"]), strict=True):
        written = dict(given) if isinstance(given, dict) else {"network": given}
        config = nics[key]
        # On a switch all guests are here, and the whole plan divides its pool as this part does.
        if plan.network(nic.network).uplink and config.addresses and not config.dhcp:
            written["address"] = list(map(str, config.addresses))
        allowing = _allowing(written, nic.allow, nics, here)
        data["nics"].append(_isolating(allowing, plan, nics, here))
    return data


def _allowing(
    data: dict[str, Any], allow: tuple[str, ...] | None, nics: Nics, here: list[str]
) -> dict[str, Any]:
    """Name guests that are elsewhere by their MACs, in a list of whom mode source hears."""
    if not allow or "allow" not in data:
        return data
    named: list[str] = []
    for one in allow:
        vm = one.removeprefix("vm:")
        if vm == one or vm in here:
            named.append(one)
        else:
            named += [str(config.mac) for key, config in nics.items() if key.vm == vm]
    return {**data, "allow": sorted(dict.fromkeys(named))}


def _isolating(data: dict[str, Any], plan: Plan, nics: Nics, here: list[str]) -> dict[str, Any]:
    """Name guests that are elsewhere by their MACs, where a NIC is kept from all of the plan."""
    if ISOLATE_PLAN not in many(data.get("isolate", ())):
        return data
    macs = (
        str(nics[key].mac)
        for key, nic in plan.nics()
        if key.vm not in here and plan.network(nic.network).uplink
    )
    return {**data, "isolate": [*many(data["isolate"]), *sorted(dict.fromkeys(macs))]}


def _written(data: Mapping[str, Any]) -> str:
    import yaml

    # By way of JSON nothing is there twice, which YAML would write as an alias.
    plain = json.loads(json.dumps(data))
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000)
    return text
