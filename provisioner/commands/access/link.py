"""vmnet link and capture: a guest's link set down or up, or impaired; the frames on it."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.commands.session import begun, no_vm
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, bad_input
from provisioner.host.netlink import links
from provisioner.host.network import impairment, macvtap
from provisioner.network.impairment import Found, Impairment
from provisioner.plan.nic_id import NicId, numbered

if TYPE_CHECKING:
    from provisioner.network.facts import Link
    from provisioner.plan.model import Plan


@dataclass(frozen=True, slots=True)
class LinkState:
    """A NIC's link: the macvtap, whether it is up, how it is impaired."""

    nic: str  # VM.NUMBER
    device: str
    up: bool
    found: Found

    def __str__(self) -> str:
        """Return it on one line, with what undoes it."""
        parts = ["up" if self.up else f"down; it is up again after: vmnet link {self.nic} up"]
        if self.found.words:
            parts += [self.found.words, f"{self.found.dropped} frames dropped so far"]
        elif self.up:
            parts.append("nothing is done to it")
        return f"{self.nic} ({self.device}): {'; '.join(parts)}"


def nics_of(plan: "Plan", name: str) -> tuple[NicId, ...]:
    """Find the NICs that VM, VM.NUMBER or VM.NETWORK means.

    Raises VmnetError with the list of what there is.
    """
    vm, _, which = name.partition(".")
    known = {v.name: v for v in plan.vms}
    if vm not in known:
        raise no_vm(plan, vm)
    nics = dict(numbered(vm, known[vm].nics))
    found = tuple(key for key, nic in nics.items() if which in {"", str(key.number), nic.network})
    if not found:
        there = ", ".join(f"{key} or {vm}.{nic.network}" for key, nic in nics.items())
        raise bad_input(f'{vm} has no NIC "{which}"', f"its NICs: {there}")
    return found


def link(
    target: PlanTarget,
    run: CommandRun,
    name: str,
    *,
    up: bool | None = None,
    wish: Impairment | None = None,
    clear: bool = False,
) -> list[LinkState]:
    """Set NICs' links up or down, impair them or no more; return how they are then.

    Raises VmnetError when there is no such NIC, or the kernel cannot.
    """
    chosen = nics_of(target.plan, name)
    with begun(target, run) as session:
        devices = {key: device_of(session.snapshot.facts.links, target.plan, key) for key in chosen}
        for device in devices.values():
            if up is not None:
                run.worker.do(macvtap.plug, device, up=up)
            if clear:
                run.worker.do(impairment.clear, device)
            if wish is not None:
                run.worker.do(impairment.set_on, device, wish)
        now = {x.name: x for x in session.look().facts.links}
        found = run.worker.do(impairment.found_on, list(devices.values()))
    return [
        LinkState(str(key), device, now[device].up, found.get(device, Found("", 0)))
        for key, device in devices.items()
        if device in now
    ]


def device_of(known: "Sequence[Link]", plan: "Plan", key: NicId) -> str:
    """Find a NIC's macvtap by its name, and prove by its alias that it is this NIC's."""
    name, alias = naming.macvtap(plan.name, *key), naming.alias(plan.name, *key)
    found = next((x for x in known if x.name == name), None)
    if found is None or found.alias != alias:
        raise VmnetError(
            f"{key} has no macvtap that vmnet has made: the plan is not up",
            fix="bring it up: vmnet up",
            status=Exit.CONFLICT if found else Exit.HOST_CANNOT,
        )
    return name


def tcpdump(
    target: PlanTarget, name: str, filters: Sequence[str], into: int | None, limits: Sequence[str]
) -> list[str]:
    """Return the command line that captures a NIC's frames; nothing holds the plan for that.

    Raises VmnetError when the NIC is not there, or this user may not listen.
    """
    (key, *_) = nics_of(target.plan, name)
    device = device_of(links.every(), target.plan, key)
    if os.geteuid():
        raise VmnetError(
            "only root may listen to a guest's frames",
            fix="run it as root",
            status=Exit.HOST_CANNOT,
        )
    write = ["-U", "-w", "-"] if into is not None else ["-l", "-n"]
    return ["tcpdump", "-i", device, *limits, *write, "--", *filters]
