"""The facts of a host as JSON: written by itself, and read by others, who believe nothing of it."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from provisioner.errors import Exit, VmnetError
from provisioner.fabric.facts import PROTOCOL, HostFacts, Silent, UplinkFacts, UplinkTap
from provisioner.image.record import content_name, digest_of, is_name
from provisioner.json_document import json_document, strict
from provisioner.plan.choices import Mode
from provisioner.plan.mac import is_mac
from provisioner.plan.scalars import UPLINK, BadValue, is_vm_name, plan_name
from provisioner.text import one_line

if TYPE_CHECKING:
    from pydantic import TypeAdapter

COMMAND: Final = "host-facts"
MOST_LENGTH: Final = 4 << 20
"""How many characters the facts of a host can have: thousands of VMs take less."""

_MOST: Final = {
    "vms": 20_000,
    "uplinks": 4_096,
    "taps": 20_000,
    "features": 100,
    "troubles": 1_000,
    "images": 10_000,
}
_MOST_MIB: Final = 1 << 40
_MOST_CORES: Final = 1 << 20
_MOST_MTU: Final = 1 << 20
_LONGEST_NIC: Final = 15


def as_json(facts: HostFacts) -> str:
    """Return the facts of this host as a document."""
    return json_document(COMMAND, Exit.DONE, asdict(facts))


def from_json(text: str, host: str) -> HostFacts:
    """Read what a host of the plan has printed; keys that are not known are passed over.

    Raises VmnetError, status HOST_CANNOT, when it is no answer, one of another protocol, or says
    what cannot be.
    """
    found = _document(text, host)
    if found.get("protocol") != PROTOCOL:
        raise _skewed(host, found)
    try:
        facts = _adapter().validate_json(text, strict=True)
    except ValueError as error:
        raise _unusable(host, _told(error)) from None
    if why := next(_wrong(facts), ""):
        raise _unusable(host, why)
    return _shown(facts)


def answered(text: str, host: str) -> HostFacts | Silent:
    """Read what a host has printed; one whose answer cannot be used counts as silent."""
    try:
        return from_json(text, host)
    except VmnetError as error:
        return Silent(error.what)


def _document(text: str, host: str) -> dict[str, Any]:
    if len(text) > MOST_LENGTH:
        raise _unusable(host, f"it is longer than {MOST_LENGTH} characters")
    try:
        found = strict(text)
    except (ValueError, RecursionError) as error:
        raise _unusable(host, f"it is not JSON: {one_line(str(error), 80)}") from None
    if not isinstance(found, dict) or found.get("command") != COMMAND:
        raise _unusable(host, f"it is no document of vmnet {COMMAND}")
    return found


def _unusable(host: str, why: str) -> VmnetError:
    return VmnetError(
        f"the answer of host {one_line(host)} cannot be used: {why}",
        fix="look at what it prints there: vmnet host-facts --json",
        status=Exit.HOST_CANNOT,
    )


def _skewed(host: str, found: dict[str, Any]) -> VmnetError:
    number, version = found.get("protocol"), found.get("version")
    speaks = f"protocol {number}" if type(number) is int else "no protocol"
    named = one_line(version, 40) if isinstance(version, str) else "of an unknown version"
    return VmnetError(
        f"host {one_line(host)} has vmnet {named}, which speaks {speaks}; this one speaks protocol "
        f"{PROTOCOL}",
        fix="give it this version: vmnet hosts bootstrap -f PLAN, or with -i INVENTORY",
        status=Exit.HOST_CANNOT,
    )


@cache
def _adapter() -> "TypeAdapter[HostFacts]":
    from pydantic import TypeAdapter

    return TypeAdapter(HostFacts)


def _told(error: ValueError) -> str:
    """Return the first complaint of pydantic's, which knows the place."""
    first: dict[str, Any] = getattr(error, "errors", lambda: [{}])()[0]
    place = [".".join(map(str, first["loc"]))] if first.get("loc") else []
    return one_line(": ".join([*place, str(first.get("msg", error))]), 120)


def _wrong(facts: HostFacts) -> Iterator[str]:
    """List what no host can have; each text of it is shown as far as it is harmless."""
    numbers = {
        "cores": (facts.cores, 1, _MOST_CORES),
        "memory_mib": (facts.memory_mib, 1, _MOST_MIB),
        "free_memory_mib": (facts.free_memory_mib, 0, facts.memory_mib),
        "free_pool_mib": (facts.free_pool_mib, 0, _MOST_MIB),
    }
    for name, (number, low, high) in numbers.items():
        if not low <= number <= high:
            yield f"{name} is {number}, and not from {low} to {high}"
    lists: dict[str, Collection[object]] = {
        name: getattr(facts, name) for name in ("vms", "uplinks", "features", "troubles", "images")
    }
    lists["taps"] = [tap for uplink in facts.uplinks for tap in uplink.taps]
    for name, listed in lists.items():
        if len(listed) > _MOST[name]:
            yield f"it lists {len(listed)} {name}, and at most {_MOST[name]} are read"
    for uplink in facts.uplinks:
        yield from _wrong_uplink(uplink)
    yield from _wrong_names(facts)
    yield from _twice("image", [image.name for image in facts.images])
    yield from _twice("NIC", [uplink.name for uplink in facts.uplinks])
    yield from _twice("VM", [f"{vm.vm} of plan {vm.plan}" for vm in facts.vms])


def _wrong_names(facts: HostFacts) -> Iterator[str]:
    for vm in facts.vms:
        if not (_is_plan(vm.plan) and is_vm_name(vm.vm)):
            yield f"{one_line(vm.vm, 60)} of {one_line(vm.plan, 60)} is no VM's name"
    for image in facts.images:
        if not (is_name(image.name) and digest_of(content_name(image.digest))):
            yield f"{one_line(image.name, 60)} is no image with a digest"


def _wrong_uplink(uplink: UplinkFacts) -> Iterator[str]:
    name = one_line(uplink.name, 60)
    if not (UPLINK.fullmatch(uplink.name) and len(uplink.name) <= _LONGEST_NIC):
        yield f"{name} cannot name a NIC"
    if not is_mac(uplink.mac):
        yield f"the MAC of {name} is {one_line(uplink.mac, 60)}"
    if not 0 < uplink.mtu <= _MOST_MTU:
        yield f"the MTU of {name} is {uplink.mtu}"
    for tap in uplink.taps:
        if tap.mode not in {*Mode, ""}:
            yield f"{one_line(tap.mode, 60)} is no mode of a macvtap on {name}"
        if (tap.plan or tap.vm) and not (_is_plan(tap.plan) and is_vm_name(tap.vm)):
            yield f"a macvtap on {name} is of {one_line(tap.vm, 60)} in {one_line(tap.plan, 60)}"
        if tap.mac and not is_mac(tap.mac):
            yield f"the MAC of a macvtap on {name} is {one_line(tap.mac, 60)}"


def _is_plan(name: str) -> bool:
    try:
        return plan_name(name) == name
    except BadValue:
        return False


def _twice(kind: str, names: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"it has the {kind} {name} twice"
        seen.add(name)


def _shown(facts: HostFacts) -> HostFacts:
    """Return facts whose free texts are harmless to a terminal, and short."""
    return replace(
        facts,
        name=one_line(facts.name, 64),
        version=one_line(facts.version, 40),
        architecture=one_line(facts.architecture, 20),
        features=tuple(sorted({one_line(x, 40) for x in facts.features})),
        uplinks=tuple(replace(x, taps=tuple(map(_shown_tap, x.taps))) for x in facts.uplinks),
        vms=tuple(replace(x, state=one_line(x.state, 60)) for x in facts.vms),
        troubles=tuple(one_line(x) for x in facts.troubles),
    )


def _shown_tap(tap: UplinkTap) -> UplinkTap:
    return replace(tap, name=one_line(tap.name, 20))
