"""Opens libvirt as `up` would, and closes it again, for vmnet doctor; lives in the worker."""

import os

from provisioner.doctor.host import Libvirt
from provisioner.errors import VmnetError
from provisioner.host.libvirt import domains, embedded, session
from provisioner.host.system import paths, plan_folders
from provisioner.host.system.worker import limit
from provisioner.text import one_line

_TRIAL = ".doctor-"  # no plan's name begins with a dot


@limit(120.0)  # it opens libvirt and boots a machine
def opened() -> Libvirt:
    """Open what a new plan would be given; the embedded libvirt gets a root of its own."""
    try:
        import libvirt
    except ImportError as error:
        return Libvirt(trouble=f"its Python package cannot be loaded: {one_line(str(error))}")
    trial = f"{_TRIAL}{os.getpid()}"
    library, why = libvirt.getVersion(), ""
    try:
        _clear_old()
        chosen = session.offered(f"qemu:///embed?root={paths.libvirt_root(trial)}")
        inside = session.is_embedded(chosen.what)
        why = f"{'qemu:///embed' if inside else chosen.what} ({chosen.why})"
        if inside:
            embedded.prepare_root(trial)
        domains.quiet()
        domains.run_events()
        conn = libvirt.open(chosen.what)
        driver = f"{conn.getType()} {_dotted(conn.getVersion())}"
        conn.close()
        plan_folders.clear_root(trial)
    except libvirt.libvirtError as error:
        return Libvirt(library, why, trouble=one_line(str(error)))
    except VmnetError as error:
        return Libvirt(library, why, trouble=error.what, fix=error.fix or "")
    return Libvirt(library, why, driver)


def _clear_old() -> None:
    """Remove the roots of doctors that have failed or were killed; not of one that runs."""
    for root in paths.run().glob(f"{_TRIAL}*"):
        number = root.name.removeprefix(_TRIAL)
        if number.isdecimal() and not os.path.exists(f"/proc/{number}"):  # noqa: PTH110
            plan_folders.clear_root(root.name)


def _dotted(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
