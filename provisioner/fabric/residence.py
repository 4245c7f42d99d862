"""The host that has a VM, by what hosts say: where it runs, else where it is left."""

from provisioner.errors import Exit, VmnetError
from provisioner.fabric.facts import Silent
from provisioner.fabric.placing import Fleet, found_in, listed


def residence(plan: str, vm: str, fleet: Fleet) -> str:
    """Return the host of a VM.

    A host that does not answer is unknown: the VM may run there, unless it runs on another. Raises
    VmnetError where it is not known, where no host has it, and where several have.
    """
    homes = found_in(plan, fleet).get(vm, ())
    hosts = [home.host for home in homes if home.runs]
    silent = {host: said.why for host, said in fleet.items() if isinstance(said, Silent)}
    if not hosts and silent:
        why = "; ".join(f"{host} does not answer ({reason})" for host, reason in silent.items())
        raise VmnetError(
            f"on which host VM {vm} is, is not known: {why}",
            fix=f"bring {listed(silent)} back, then run the command again",
            status=Exit.HOST_CANNOT,
        )
    hosts = hosts or [home.host for home in homes]
    if len(hosts) > 1:
        raise VmnetError(
            f"VM {vm} is on {listed(hosts)}, and can be on one host only",
            fix=f"keep one of the two: on the other host, vmnet down {vm}",
            status=Exit.CONFLICT,
        )
    if not hosts:
        raise VmnetError(f'VM "{vm}" is on no host', fix="bring the plan up: vmnet up")
    return hosts[0]
