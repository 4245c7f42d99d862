"""Waits for guests that others start after, by the same signs as a check does."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from provisioner.check import readiness
from provisioner.check.readiness import Sign, SignState
from provisioner.commands.check.endpoints import endpoints
from provisioner.commands.check.readiness_probes import ReadinessProbes
from provisioner.errors import VmnetError
from provisioner.host.machine import MACHINE

if TYPE_CHECKING:
    from provisioner.commands.session import Session

_READY_S: Final = {True: 600.0, False: 120.0}  # with cloud-init, and without
_AGAIN_S: Final = 0.5
_LIFE_S: Final = 1.0
_MOST_UNKNOWN: Final = 10  # looks in a row at which libvirt does not know the guest


def await_ready(
    session: "Session", vm: str, end: float | None, is_over: Callable[[], bool]
) -> bool:
    """Wait until the VMs are ready that a VM starts after; False when `is_over` says so first.

    `end` is the time.monotonic() at which the command gives up, None leaves it to the images.
    VMs that are not there at all are not waited for: the command is about a part of the plan.
    Raises VmnetError when one is not ready in time.
    """
    now = replace(session, snapshot=session.worker.do(MACHINE.observe))
    images = {domain.vm: domain.image for domain in now.domains}
    probes = ReadinessProbes(endpoints(now), images)
    for other in session.target.plan.vm(vm).after:
        if other in images:
            patience = time.monotonic() + _READY_S[images[other].cloud_init]
            if not _is_ready(probes, other, vm, patience if end is None else end, is_over):
                return False
    return True


def _is_ready(
    probes: ReadinessProbes, vm: str, waiting: str, end: float, is_over: Callable[[], bool]
) -> bool:
    plan_vm = probes.ends.plan.vm(vm)
    signs = readiness.signs(plan_vm, probes.images[vm])
    left: dict[Sign, SignState] = dict.fromkeys(signs, SignState(ok=False))
    unknown, pause = 0, threading.Event()
    while not is_over():
        seen, _ = probes.look_for_life(vm, _LIFE_S, boots=True)
        if seen.answers:
            probes.agents.add(vm)
        unknown = 0 if seen.answers or seen.state else unknown + 1
        left = probes.left(vm, left, end)
        if not left:
            return True
        hopeless = unknown >= _MOST_UNKNOWN or any(state.over for state in left.values())
        if hopeless or time.monotonic() >= end:
            raise VmnetError(
                f"{waiting} starts after {vm}, which is not ready: it lacks "
                f"{readiness.missing(left)}",
                fix=f"look at what it said: vmnet logs {vm}; vmnet up goes on from here",
            )
        pause.wait(_AGAIN_S)
    return False
