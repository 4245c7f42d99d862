"""The guests' own words, asked for side by side and not waited for."""

import queue
import time
from dataclasses import replace

from provisioner.commands.session import Session
from provisioner.errors import VmnetError
from provisioner.guest.agent_info import GuestInfo
from provisioner.host.machine import MACHINE
from provisioner.host.system.worker import Call
from provisioner.report.report import Report

_AGENTS_S = 2.0  # until libvirt, just opened, has found the agents again
_ALL_S = 8.0
_RUNS = "running"


def added(session: Session, report: Report) -> Report:
    """Add to each VM that runs what it says of itself, or why it says nothing."""
    running = {vm.name for vm in report.vms if vm.state == _RUNS}
    agents = _agents(session, running)
    end = time.monotonic() + _ALL_S
    asked = {vm: session.worker.call(MACHINE.words, vm) for vm in sorted(agents)}
    silent = dict.fromkeys(running - agents, GuestInfo(problem="its guest agent does not answer"))
    told = silent | {vm: _answer(one, end) for vm, one in asked.items()}
    vms = tuple(replace(vm, guest=told.get(vm.name)) for vm in report.vms)
    return replace(report, vms=vms)


def _agents(session: Session, running: set[str]) -> set[str]:
    end = time.monotonic() + _AGENTS_S
    while running - (found := set(session.worker.do(MACHINE.agents))):
        try:
            session.worker.events.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
    return found & running


def _answer(asked: Call[GuestInfo], end: float) -> GuestInfo:
    try:
        return asked.result(max(0.1, end - time.monotonic()))
    except TimeoutError:
        return GuestInfo(problem=f"it has not answered after {_ALL_S:g} s")
    except VmnetError as error:
        return GuestInfo(problem=error.what)
