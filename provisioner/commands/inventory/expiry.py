"""Until when a plan is up: chosen by `up`, written on all that the plan has, told by `status`."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.commands.session import HostSession, mark_of
from provisioner.host.inventory import expired
from provisioner.host.machine import MACHINE
from provisioner.host.system import paths, plan_marks
from provisioner.inventory import times
from provisioner.inventory.times import span

if TYPE_CHECKING:
    from provisioner.inventory.plan_mark import PlanMark


def of(plan: str) -> int:
    """Return until when a plan is up, in seconds since 1970; 0 when it has no expiry."""
    mark = plan_marks.read(paths.home(plan))
    return mark.until if mark and mark.plan == plan else 0


def chosen(session: HostSession) -> "PlanMark":
    """Return the mark of a plan that is brought up now."""
    now, before = int(time.time()), of(session.target.name)
    until = times.until(now, session.run.ttl_s, before)
    if before and not until:
        session.tell("warning: the plan's time was over: it has no expiry any more, but with --ttl")
    if until:
        session.tell(f"time: the plan is up for {span(until - now)} from now")
    return replace(mark_of(session.target), until=until)


def write(session: HostSession, until: int) -> None:
    """Write the expiry on the plan's devices and domains, which may outlive its folder.

    Raises VmnetError when the kernel or libvirt refuses.
    """
    session.worker.do(MACHINE.expire, until)


def told(plan: str) -> Iterator[str]:
    """Return what there is to say of times that are over, of this plan and of others."""
    now, until = int(time.time()), of(plan)
    if until > now:
        yield f"time: the plan is up for {span(until - now)} from now"
    elif until:
        yield (
            f"warning: the plan's time was over {span(now - until)} ago: vmnet gc --expired takes "
            f"it away, vmnet extend {plan} 2h keeps it"
        )
    if others := [x for x in expired.plans(now) if x != plan]:
        yield f"the time of {', '.join(others)} is over: take that away with vmnet gc --expired"
