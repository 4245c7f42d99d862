"""The machine as a program: the worker of a program that imports vmnet (host.system.spawned)."""

import sys
from typing import Final

from provisioner.host import machine
from provisioner.host.system.spawned import worker
from provisioner.host.system.worker import Worker

_MODULE: Final = "provisioner.host.machine_program"


def start() -> Worker:
    """Start it. Raises VmnetError when it cannot be started."""
    return worker.start(_MODULE)


if __name__ == "__main__":
    worker.serve(sys.argv[1:], machine.served)
