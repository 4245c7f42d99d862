"""The modes: what the kernel really does, and what the switch behind a NIC does with it."""

import time

from provisioner.commands.target import Tell
from provisioner.host.lab import experiment, switch_probe
from provisioner.host.system.worker import Worker
from provisioner.reachability.experiment import Verdict
from provisioner.reachability.switch_probe import SwitchAnswer, SwitchProbe


def measure(worker: Worker, tell: Tell) -> Verdict:
    """Measure every pair of modes on this kernel, in network namespaces that nobody else sees."""
    tell("measuring every pair of modes, in network namespaces without a name")
    start = time.monotonic()
    return Verdict(worker.do(experiment.measure), time.monotonic() - start)


def prepare(worker: Worker, uplink: str, peer: str) -> SwitchProbe:
    """Return what can be asked of the switch behind an uplink; nothing is sent."""
    return worker.do(switch_probe.prepare, uplink, peer)


def ask(worker: Worker, probe: SwitchProbe, tell: Tell) -> SwitchAnswer:
    """Ask the switch."""
    tell(f"asking the switch behind {probe.uplink}")
    return worker.do(switch_probe.ask, probe)
