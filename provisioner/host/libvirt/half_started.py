"""Domains that a killed vmnet was just starting, in the files of a libvirt that is not open.

libvirt would take such a domain up again on open, wait 30 s for a monitor that may never have
existed, and meanwhile answer nothing about it. The plan's lock is held and the root not open, so
its files are nobody's but ours.
"""

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET

from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import NAMESPACE, Domain, HalfStarted
from provisioner.guest.xml.render import from_mark
from provisioner.host.libvirt import qemu_process
from provisioner.host.system import paths
from provisioner.network.facts import Live
from provisioner.pattern import pattern
from provisioner.reconcile.resources import Look

_STARTING = pattern(r"<domstatus [^>]*reason='starting up'")


def observe(look: Look) -> list[HalfStarted]:
    """List the domains of a plan that are half started."""
    return [
        HalfStarted(file.stem, str(file))
        for file in _records(look.plan)
        if _STARTING.search(file.read_text(errors="replace"))
    ]


def delete(half: HalfStarted) -> None:
    """Kill the QEMU of such a domain and make libvirt forget it; one that has gone is fine."""
    record = Path(half.record)
    pid_file = record.with_suffix(".pid")
    qemu_process.kill(pid_file, half.name, str(pid_file.parents[2]))
    pid_file.unlink(missing_ok=True)
    record.unlink(missing_ok=True)


def refuse(plan: str) -> None:
    """Raise VmnetError when a domain of the plan is half started: libvirt cannot be opened then."""
    if half := [x.name.removeprefix(f"{plan}-") for x in observe(Look(plan))]:
        raise VmnetError(
            f"{', '.join(half)} was being started when vmnet was killed",
            fix="start it: vmnet up; or take the plan away: vmnet down",
            status=Exit.PARTLY_DONE,
        )


def others(plan: str) -> Iterator[tuple[Domain, Live]]:
    """Return the plan's domains that run, as libvirt has recorded them."""
    for file in _records(plan):
        text = file.read_text(errors="replace")
        if _STARTING.search(text):
            continue
        try:
            status = ET.fromstring(text)  # noqa: S314  (root's own file)
        except ET.ParseError:
            continue
        mark = status.find(f"domain/metadata/{{{NAMESPACE}}}*")
        domain = from_mark(unescape(mark.text or "").strip()) if mark is not None else None
        if domain and domain.plan == plan and domain.name == file.stem:
            pid = status.get("pid", "")
            number = int(pid) if pid.isdecimal() else 0
            if not qemu_process.process_state(number):
                continue  # libvirt will forget it as soon as it is opened
            yield domain, Live(domain.vm, status.get("state", ""), number, ())


def _records(plan: str) -> list[Path]:
    """List libvirt's records of the domains that it has in its root for a plan."""
    return sorted((paths.libvirt_root(plan) / "run" / "qemu").glob("*.xml"))
