"""vmnet extend: another time until which a plan is up."""

import time
from dataclasses import replace

from provisioner.commands.inventory import expiry
from provisioner.commands.session import begun
from provisioner.commands.target import CommandRun, NameTarget
from provisioner.errors import VmnetError, bad_input
from provisioner.host.machine import MACHINE
from provisioner.host.system import paths, plan_marks


def extend(target: NameTarget, ttl_s: int, run: CommandRun) -> int:
    """Give a plan `ttl_s` seconds from now on, or no expiry with 0; return until when it is up.

    The folder's mark comes first, then devices and domains: killed in between, it counts. Raises
    VmnetError when there is no such plan.
    """
    found = plan_marks.read(paths.home(target.name))
    if found is None or found.plan != target.name:
        raise _nothing(target.name)
    until = int(time.time()) + ttl_s if ttl_s else 0
    with begun(target, run) as session:
        mark = plan_marks.read(paths.home(target.name))
        if mark is None:  # it was taken down while the lock was waited for
            raise _nothing(target.name)
        session.worker.do(MACHINE.renew_mark, replace(mark, until=until))
        expiry.write(session, until)
    return until


def _nothing(plan: str) -> VmnetError:
    return bad_input(f'there is no plan "{plan}" on this host', "those that are there: vmnet ls")
