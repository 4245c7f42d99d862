"""What is known of a plan after the steps of a command, before anything has been measured."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from provisioner import naming, redaction
from provisioner.commands import command
from provisioner.commands.execute import Outcome
from provisioner.commands.inventory import expiry
from provisioner.commands.reporting.origin import origin
from provisioner.commands.session import HostSession, Session
from provisioner.errors import Exit
from provisioner.guest.domain import Overlay
from provisioner.host.system.plan_folders import foreign
from provisioner.network.devices import half_marked, uplink_now
from provisioner.network.facts import Live
from provisioner.network.resources import Macvtap
from provisioner.network.standalone import granted
from provisioner.plan.nic_id import numbered
from provisioner.plan.nic_settings import settings_of
from provisioner.preflight.warnings import warnings
from provisioner.reconcile.diff import Step
from provisioner.reconcile.resources import Look
from provisioner.report.report import (
    Failure,
    ImageStatus,
    KeptDisk,
    NetworkStatus,
    NicStatus,
    Report,
    ReportStep,
    StepThing,
    VmStatus,
)
from provisioner.resource import Resource
from provisioner.text import one_line


def reported(session: HostSession, outcome: Outcome, left: Sequence[Step]) -> Report:
    """Return what is known after the steps, before anything has been measured."""
    owners = _owners(session, [*outcome.done, *(step for step, _ in outcome.failed), *left])
    failed = tuple(Failure(_step(step, owners), error) for step, error in outcome.failed)
    status = Exit.DONE
    if failed:
        some = outcome.done or session.snapshot.resources
        status = Exit.PARTLY_DONE if some else failed[0].error.status
    return Report(
        command=session.run.command.name,
        plan=session.target.name,
        status=status,
        chosen=dict(session.chosen),
        warnings=tuple(_notes(session)),
        done=tuple(_step(step, owners) for step in outcome.done),
        to_do=tuple(_step(step, owners) for step in left),
        failed=failed,
        vms=_statuses(session),
        networks=tuple(_networks(session)),
        images=tuple(_images(session)),
        disks=_kept(session),
        until=expiry.of(session.target.name),
        origin=origin(session.target),
    )


def _notes(session: HostSession) -> Iterator[str]:
    """Return what there is to be said besides; what is left alone is told at once, too."""
    plan, facts = session.target.name, session.snapshot.facts
    if isinstance(session, Session):
        yield from warnings(session.target.plan, facts)
    if not session.run.command.lists_foreign:
        return
    alone = [f"vmnet has not made it: {one_line(str(path))}" for path in foreign(plan)]
    told = [f"left alone, {what}" for what in alone]
    ours = Look(plan, facts.links).ours
    told += [f"left alone: {device}" for device in half_marked(plan, facts.links, ours)]
    for line in told:
        session.tell(line)
        yield line


def of_steps(session: HostSession, steps: Sequence[Step]) -> tuple[ReportStep, ...]:
    """Return steps as reports tell of them."""
    owners = _owners(session, steps)
    return tuple(_step(step, owners) for step in steps)


def _step(step: Step, owners: Mapping[str, str]) -> ReportStep:
    return ReportStep(
        step.verb,
        tuple(StepThing(*r.key, vm=_vm_of(r, owners)) for r in (step.resource, *step.together)),
        step.cause,
        str(step),
    )


def _vm_of(resource: Resource, owners: Mapping[str, str]) -> str:
    """Return the VM that a resource is of; of rules on a device, whose device that is."""
    name = str(getattr(resource, "device", resource.key[1]))
    return str(getattr(resource, "vm", "")) or owners.get(name, "")


def _owners(session: HostSession, steps: Iterable[Step]) -> dict[str, str]:
    """Return the VM of each macvtap, by the device's name, also of those that are gone."""
    found: dict[str, str] = {}
    if isinstance(session, Session):
        plan = session.target.plan
        found |= {naming.macvtap(plan.name, *key): key.vm for key, _ in plan.nics()}
    stepped = (r for step in steps for r in (step.resource, *step.together))
    for r in (*session.snapshot.resources.values(), *stepped):
        if isinstance(r, Macvtap):
            found[r.name] = _owner(r.alias)[0]
    return found


def _owner(alias: str) -> tuple[str, str]:
    """Return the VM and the number of the NIC whose macvtap has this alias, "" of any other."""
    _, _, owner = naming.alias_and_expiry(alias)[0].partition("/")
    vm, _, number = owner.rpartition("/")
    return vm, number


def _kept(session: HostSession) -> tuple[KeptDisk, ...]:
    """Return the disks that stay, though no guest of the plan has them now."""
    used = {disk.path for domain in session.domains for disk in domain.disks}
    if isinstance(session, Session) and session.run.command is not command.DOWN:
        planned = {vm.name for vm in session.target.plan.vms}
    else:
        planned = set()
    return tuple(
        KeptDisk(r.vm, r.path, r.image, r.size, r.taken)
        for r in session.snapshot.resources.values()
        if isinstance(r, Overlay) and r.stays and r.path not in used and r.vm not in planned
    )


def _statuses(session: HostSession) -> tuple[VmStatus, ...]:
    """Return what each VM, of the plan or left over from it, is made of now."""
    live = {x.vm: x for x in session.snapshot.facts.live}
    planned = [vm.name for vm in session.target.plan.vms] if isinstance(session, Session) else []
    every = [*planned, *(vm for vm in sorted(live) if vm not in planned)]
    images = _image_names(session)
    return tuple(
        VmStatus(
            vm.vm,
            vm.state,
            vm.pid,
            tuple(
                str(a)
                for key, nic in session.nics.items()
                if key.vm == vm.vm
                for a in nic.addresses
            ),
            tuple(f"/dev/tap{index}" for _, index in vm.taps),
            nics=tuple(_nics(session, vm, planned=vm.vm in planned)),
            image=images.get(vm.vm, ""),
        )
        for vm in (live.get(name, Live(name, "not there", 0, ())) for name in every)
    )


def _nics(session: HostSession, vm: Live, *, planned: bool) -> Iterator[NicStatus]:
    """Return the NICs of a VM: those of the plan, else those that it has been given."""
    facts = session.snapshot.facts
    taps = {name: f"/dev/tap{index}" for name, index in vm.taps}
    if not (planned and isinstance(session, Session)):
        for name, tap in taps.items():
            link = facts.link(name)
            lower = facts.link_at(link.lower) if link else None
            number = _owner(link.alias)[1] if link else ""
            yield NicStatus(
                f"{vm.vm}.{number}" if number else name,
                None,
                lower.name if lower else None,
                (link and link.mode) or None,
                link.mac if link else None,
                name,
                tap,
                (),
            )
        return
    plan = session.target.plan
    given = granted.devices(plan, facts)
    for key, nic in numbered(vm.vm, plan.vm(vm.vm).nics):
        network, config = plan.network(nic.network), session.nics[key]
        device = given[key].name if key in given else naming.macvtap(plan.name, *key)
        yield NicStatus(
            plan.nic_name(key),
            network.name,
            uplink_now(plan, network, facts),
            str(settings_of(plan, nic).mode),
            config.mac,
            device,
            taps.get(device),
            tuple(map(str, config.addresses)),
        )


def _networks(session: HostSession) -> Iterator[NetworkStatus]:
    if not isinstance(session, Session):
        return
    plan, facts = session.target.plan, session.snapshot.facts
    for network in plan.networks:
        yield NetworkStatus(
            network.name,
            "switch" if network.switch else "granted" if network.granted else "uplink",
            uplink_now(plan, network, facts),
            network.vlan,
            str(network.mode),
            str(network.addressing),
            tuple(map(str, network.subnet)),
            tuple(map(str, network.gateway)),
        )


def _image_names(session: HostSession) -> dict[str, str]:
    """Return the image of each VM: the one that it was started with, else the plan's."""
    found: dict[str, str] = {}
    if isinstance(session, Session):
        found |= {vm.name: vm.image for vm in session.target.plan.vms}
    found |= {domain.vm: domain.image.name for domain in session.domains}
    return {vm: redaction.MASK if redaction.are_in(image) else image for vm, image in found.items()}


def _images(session: HostSession) -> Iterator[ImageStatus]:
    disks = {domain.vm: domain.image.disk for domain in session.domains}
    users: dict[tuple[str, str], list[str]] = {}
    for vm, image in _image_names(session).items():
        users.setdefault((image, disks.get(vm, "")), []).append(vm)
    for (image, disk), vms in users.items():
        yield ImageStatus(image, disk or None, tuple(vms))
