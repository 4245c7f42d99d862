"""vmnet exec: a program inside a guest, with no network at all."""

import time
from collections.abc import Sequence

from provisioner.commands.session import begun, domain, one
from provisioner.commands.target import Options, PlanTarget
from provisioner.host.guest.commands import Guests, Ran
from provisioner.host.machine import MACHINE
from provisioner.host.system.worker import Worker

_LEAST_S = 1.0  # for a program whose agent came at the last moment
_ANSWER_S = 2.0  # for the agent to say that a program is not done


def run(
    target: PlanTarget,
    options: Options,
    worker: Worker,
    vm: str,
    argv: Sequence[str],
    stdin: bytes,
) -> Ran:
    """Run a program inside a VM through its guest agent. Raises VmnetError when it cannot."""
    name = one(target, vm)
    with begun(target, options, worker, lambda _: None) as session:
        domain(session.snapshot.resources.values(), name)
        end = time.monotonic() + options.timeout_s
        session.await_agent(name, options.timeout_s)
        # The agent wants a path (or its own PATH); env(1) looks the program up in the guest's.
        argv = argv if "/" in argv[0] else ["/usr/bin/env", *argv]
        left_s = max(_LEAST_S, end - time.monotonic())
        limited = worker.within(left_s + _ANSWER_S)
        return limited.do(MACHINE.guest, name, Guests.run_bounded, argv, left_s, stdin)
