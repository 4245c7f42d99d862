"""status, render, console, logs and exec: questions that change nothing."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.core import names
from provisioner.core.desired import New, desired
from provisioner.core.diff import diff
from provisioner.core.facts import Chosen, Facts
from provisioner.core.render import domain_xml
from provisioner.core.report import Report
from provisioner.core.resources import Domain, Resource
from provisioner.core.texts import Texts
from provisioner.errors import Exit, VmnetError
from provisioner.execute import Outcome
from provisioner.flow import choices, given
from provisioner.flow.bring import reported
from provisioner.flow.session import Options, Session, Target, Tell, begun
from provisioner.host import consoles, firmware, places
from provisioner.host.guests import Ran
from provisioner.host.worker import Worker

if TYPE_CHECKING:
    from provisioner.core.impairment import Found


def status(target: Target, options: Options, worker: Worker, tell: Tell) -> Report:
    """Say what the plan is made of now, and what `up` would do."""
    with begun(target, options, worker, tell) as session:
        want = session.wanted(build=False) if target.loaded else session.snapshot.resources
        left = diff(want, session.snapshot.resources)
        for line in _hindrances(session):
            tell(line)
        return reported(session, Outcome(), left)


def _hindrances(session: Session) -> Iterator[str]:
    """Say what keeps frames of the plan's guests from passing: vmnet link, and their guards."""
    domains = [r for r in session.snapshot.resources.values() if isinstance(r, Domain)]
    devices = {nic.link: f"{d.vm}.{i}" for d in domains for i, nic in enumerate(d.nics)}
    if not devices or session.snapshot.facts.user:
        return  # nft answers root only
    impaired: dict[str, Found] = session.worker.do("impaired", list(devices))
    for device, found in impaired.items():
        if found.words:
            nic = devices[device]
            yield (
                f"{nic}: {found.words}, set by vmnet link, {found.dropped} frames dropped; take "
                f"it away: vmnet link {nic} --clear"
            )
    dropped: dict[str, int] = session.worker.do("dropped")
    for device, number in dropped.items():
        if number and device in devices:
            yield f"{devices[device]}: its spoof guard has dropped {number} frames"


def render(target: Target, vm: str) -> str:
    """Give the XML of one VM of the plan, as `up` would hand it to libvirt; no rights are needed.

    Raises VmnetError when the plan has no such VM.
    """
    from provisioner.core.addresses import assign
    from provisioner.flow import named

    plan = target.plan
    facts = Facts(home=str(places.home(plan.name)))
    accel = Chosen("tcg" if plan.accel == "auto" else str(plan.accel), "for show")
    images = choices.images(target, {}, None)
    texts = named.texts(target.loaded) if target.loaded else Texts()
    new = New(images, accel, files=given.files(target), loader=firmware.loader(), texts=texts)
    want = desired(plan, assign(plan), facts, new)
    return domain_xml(_domain(want.values(), _one(target, vm)))


def logs(target: Target, vm: str, lines: int, *, qemu: bool) -> str:
    """Give the end of a VM's console, or of what QEMU itself said. Raises VmnetError if none."""
    name = _one(target, vm)
    log = places.consoles(target.name) / f"{name}.log"
    if qemu:
        domain = names.domain(target.name, name)
        embedded = places.libvirt_root(target.name) / "log" / "qemu" / f"{domain}.log"
        system = Path("/var/log/libvirt/qemu") / f"{domain}.log"
        log = embedded if embedded.exists() else system
    if not log.exists():
        raise VmnetError(f"{name} has no log at {log}", fix="bring the plan up: vmnet up")
    return consoles.last_lines(log, lines)


def execute_in(
    target: Target, options: Options, worker: Worker, tell: Tell, vm: str, argv: list[str]
) -> Ran:
    """Run a program inside a VM through its guest agent. Raises VmnetError when it cannot."""
    name = _one(target, vm)
    with begun(target, options, worker, tell) as session:
        _domain(session.snapshot.resources.values(), name)
        session.await_agent(name, options.timeout_s)
        # The agent wants a path (or its own PATH); env(1) looks the program up in the guest's.
        words = argv if "/" in argv[0] else ["/usr/bin/env", *argv]
        ran: Ran = worker.do("guest", name, "run", words, options.timeout_s)
    return ran


def console(target: Target, options: Options, worker: Worker, tell: Tell, vm: str) -> None:
    """Join the terminal to a VM's console until Ctrl-]."""
    name = _one(target, vm)
    with begun(target, options, worker, tell) as session:
        _domain(session.snapshot.resources.values(), name)
        terminal: str = worker.do("terminal", name)
    consoles.attach(terminal)


def _one(target: Target, vm: str) -> str:
    """Find the VM that is meant; its name may be left out when there is only one."""
    if not target.loaded:
        return vm
    known = [v.name for v in target.plan.vms]
    if not vm and len(known) == 1:
        return known[0]
    if vm in known:
        return vm
    raise VmnetError(
        f'the plan {target.name} has no VM "{vm}"' if vm else "which VM?",
        fix=f"its VMs: {', '.join(known)}",
        status=Exit.BAD_INPUT,
    )


def _domain(resources: Iterable[Resource], vm: str) -> Domain:
    for r in resources:
        if isinstance(r, Domain) and r.vm == vm:
            return r
    raise VmnetError(f'VM "{vm}" is not up', fix="bring the plan up: vmnet up")
