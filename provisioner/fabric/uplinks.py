"""The NICs of a host that macvtaps can be put on, and who has some there."""

from collections.abc import Iterator

from provisioner import naming
from provisioner.fabric.facts import UplinkFacts, UplinkTap
from provisioner.network import uplink
from provisioner.network.facts import Facts, Link
from provisioner.plan.choices import Mode
from provisioner.plan.scalars import UPLINK, BadValue, is_vm_name, plan_name

_UPON = frozenset({"macvlan", "macvtap", "ipvlan", "ipvtap"})
_ALIAS = "vmnet:"


def uplinks(facts: Facts) -> tuple[UplinkFacts, ...]:
    """Return the NICs that a plan can name and that can carry macvtaps, by name."""
    every = {link.name for link in facts.links}  # what sits on a NIC is told, and no reason here
    fit = (
        link
        for link in facts.links
        if UPLINK.fullmatch(link.name) and not naming.is_group(link.group)
        if not uplink.device_problem(link, facts, every)
    )
    found = (
        UplinkFacts(
            link.name,
            link.mac,
            link.mtu,
            link.carrier,
            tuple(_taps(link, facts)),
            uplink.carries_default(link, facts),
        )
        for link in fit
    )
    return tuple(sorted(found, key=lambda one: one.name))


def _taps(link: Link, facts: Facts) -> Iterator[UplinkTap]:
    for one in sorted(facts.links, key=lambda x: x.name):
        if one.lower == link.index and one.kind in _UPON:
            mode = one.mode if one.mode in {*Mode} else ""
            yield UplinkTap(one.name, mode, *_owner(one), one.mac)


def _owner(link: Link) -> tuple[str, str]:
    """Return the plan and the VM that a device bears all marks of, else two empty texts."""
    alias, _ = naming.alias_and_expiry(link.alias)
    plan, _, rest = alias.removeprefix(_ALIAS).partition("/")
    vm = rest.partition("/")[0]
    try:
        is_one = alias.startswith(_ALIAS) and is_vm_name(vm) and "/" in rest
        is_ours = is_one and naming.group(plan_name(plan)) == link.group
    except BadValue:
        is_ours = False
    return (plan, vm) if is_ours else ("", "")
