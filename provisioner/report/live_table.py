"""The table of `status --watch`, from a report as `vmnet status --json` prints it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from provisioner.text import one_line

RUNNING: Final = "running"
_TITLES: Final = ("VM", "state", "process", "network", "mode", "addresses")


def rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the titles, and a row for each NIC; a VM's other NICs have no name before them."""
    return [_TITLES, *(row for vm in report.get("vms", ()) for row in _of_vm(vm))]


def summary(report: Mapping[str, Any]) -> str:
    """Return in one line how things are, and what `vmnet up` would do."""
    if "vms" not in report:
        return "; ".join(one_line(str(error["what"])) for error in report.get("errors", ()))
    steps = len(report["to_do"])
    words = (
        f"vmnet up would take {steps} step{'s' * (steps != 1)}" if steps else "all is as planned"
    )
    return f"{one_line(str(report['plan']))}: {words}"


def _of_vm(vm: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    head = one_line(str(vm["name"])), one_line(str(vm["state"])), str(vm["pid"] or "")
    for number, nic in enumerate(vm["nics"] or [{}]):
        first = head if number == 0 else ("", "", "")
        addresses = " ".join(map(str, nic.get("addresses", ())))
        cells = (str(nic.get(key) or "") for key in ("network", "mode"))
        yield (*first, *map(one_line, cells), one_line(addresses))
