"""Which guests of this host have been given to another one, where each may run by now.

It stands beside the log of the guest's console: as long as it does, the guest is not started here.
"""

from pathlib import Path

from provisioner.errors import Exit, VmnetError
from provisioner.host.system import file_errors, paths, plan_folders


def to(plan: str, vm: str) -> str:
    """Return the host that a guest has been given to, "" for none."""
    log = _log(plan, vm)
    return plan_folders.record(log).leaving if plan_folders.is_own(log) else ""


def write(plan: str, vm: str, host: str) -> None:
    """Write down, on the disk, that a guest is given to a host; "" takes that back.

    Raises VmnetError.
    """
    log = _log(plan, vm)
    try:
        if host or plan_folders.is_own(log):
            plan_folders.own(log)
            plan_folders.write_record(log, {"leaving": host})
    except OSError as error:
        raise file_errors.converted(error, "cannot write", log) from error


def refusal(plan: str, vm: str) -> VmnetError | None:
    """Return why a guest is not started here, None when it may be."""
    host = to(plan, vm)
    if not host:
        return None
    return VmnetError(
        f"{vm} has been given to {host}, and may run there",
        fix=f"finish that move: run the same vmnet move again; if {host} is lost, and never will "
        f"run it: vmnet down {vm} on this host, then vmnet up",
        status=Exit.CONFLICT,
    )


def _log(plan: str, vm: str) -> Path:
    return paths.folder(plan, "console") / f"{vm}.log"
