"""What libvirt and /proc say of running domains, side by side: one that hangs delays no other.

A libvirt that has just been opened knows of a domain what it has recorded, until it has joined it
again: whatever asks QEMU waits for that.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any, Final
from xml.etree import ElementTree as ET

from provisioner.guest.domain_state import SeenDomain, SeenNic
from provisioner.host.libvirt.qemu_process import process_state

_JOIN_S: Final = 2.0
_NO_SPACE: Final = 2  # VIR_DOMAIN_DISK_ERROR_NO_SPACE
_PAUSED: Final = 3  # VIR_DOMAIN_PAUSED

STATES: Final = (
    "no state",
    "running",
    "blocked",
    "paused",
    "shutting down",
    "shut off",
    "crashed",
    "suspended",
)


def found(domains: Sequence[tuple[Any, int]]) -> list[SeenDomain | None]:
    """Return what is found of each domain, given with the pid of its QEMU, 0 if that is unknown.

    None for one that has ended while it was looked at.
    """
    asked = [(dom, pid, _joined(dom, pid)) for dom, pid in domains]
    wait([errors for _, _, errors in asked], _JOIN_S)
    return [
        _found(dom, pid, errors.result() if errors.done() else {}) for dom, pid, errors in asked
    ]


def _joined(dom: Any, pid: int) -> "Future[dict[str, int]]":
    """Have a thread wait until libvirt has joined a domain; the result is its disks' errors."""
    errors = Future[dict[str, int]]()
    if process_state(pid) in {"T", "t", "Z"}:
        errors.set_result({})  # it would be waited for in vain
        return errors

    def run() -> None:
        import libvirt

        found: dict[str, int] = {}
        try:
            dom.memoryStats()
            if dom.state()[0] == _PAUSED:
                found = dom.diskErrors(0)
        except libvirt.libvirtError:
            pass  # it has ended, or hangs: what is known of it is asked below
        finally:
            errors.set_result(found)

    threading.Thread(target=run, daemon=True).start()
    return errors


def _found(dom: Any, pid: int, errors: Mapping[str, int]) -> SeenDomain | None:
    import libvirt

    try:
        state, xml = STATES[dom.state()[0]], ET.fromstring(dom.XMLDesc(0))  # noqa: S314  (libvirt's own)
        is_persistent = bool(dom.isPersistent())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    process = process_state(pid)
    disks = {x.target: x.path for x in map(_Disk, xml.iterfind("devices/disk"))}
    full = {target for target, code in errors.items() if code == _NO_SPACE}
    return SeenDomain(
        state,
        tuple(
            SeenNic(target.get("dev", ""), mac.get("address", ""))
            for nic in xml.iterfind("devices/interface")
            if (target := nic.find("target")) is not None
            and target.get("dev")
            and (mac := nic.find("mac")) is not None
        ),
        is_persistent,
        tuple(disks.get(x, x) for x in sorted(full)),
        tuple(disks.get(x, x) for x in sorted(errors.keys() - full)),
        process,
        has_ended=bool(pid) and process in {"", "Z"},
    )


class _Disk:
    def __init__(self, disk: ET.Element) -> None:
        source, target = disk.find("source"), disk.find("target")
        self.target = target.get("dev", "") if target is not None else ""
        self.path = (
            source.get("file") or source.get("dev") or "" if source is not None else ""
        ) or self.target
