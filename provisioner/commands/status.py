"""status and render: questions that change nothing."""

from collections.abc import Iterator

from provisioner.commands import defaults, guest_status, plan_files
from provisioner.commands.domain_xml import domain_xml
from provisioner.commands.execute import Outcome
from provisioner.commands.session import Session, begun, domain, one
from provisioner.commands.target import Options, Target, Tell
from provisioner.commands.up import reported
from provisioner.guest.domain import Domain
from provisioner.guest.userdata import Texts
from provisioner.host.network import impairment, nftables
from provisioner.host.storage import firmware
from provisioner.host.system import paths
from provisioner.host.system.worker import Worker
from provisioner.network.facts import Chosen, Facts
from provisioner.reconcile.desired import New, desired
from provisioner.reconcile.diff import diff
from provisioner.report.report import Report


def status(target: Target, options: Options, worker: Worker, tell: Tell) -> Report:
    """Say what the plan is made of now, and what `up` would do."""
    with begun(target, options, worker, tell) as session:
        want = session.wanted(build=False) if target.loaded else session.snapshot.resources
        left = diff(want, session.snapshot.resources)
        for line in _hindrances(session):
            tell(line)
        report = reported(session, Outcome(), left)
        return guest_status.added(session, report) if options.wide else report


def _hindrances(session: Session) -> Iterator[str]:
    """Say what keeps frames of the plan's guests from passing: vmnet link, and their guards."""
    domains = [r for r in session.snapshot.resources.values() if isinstance(r, Domain)]
    devices = {nic.link: f"{d.vm}.{i}" for d in domains for i, nic in enumerate(d.nics)}
    if not devices or session.snapshot.facts.user:
        return  # nft answers root only
    impaired = session.worker.do(impairment.found_on, list(devices))
    for device, found in impaired.items():
        if found.words:
            nic = devices[device]
            yield (
                f"{nic}: {found.words}, set by vmnet link, {found.dropped} frames dropped; take "
                f"it away: vmnet link {nic} --clear"
            )
    dropped = session.worker.do(nftables.dropped)
    for device, number in dropped.items():
        if number and device in devices:
            yield f"{devices[device]}: its spoof guard has dropped {number} frames"


def render(target: Target, vm: str) -> str:
    """Give the XML of one VM of the plan, as `up` would hand it to libvirt; no rights are needed.

    Raises VmnetError when the plan has no such VM.
    """
    from provisioner.commands import guest_files
    from provisioner.network.addressing import assign

    plan = target.plan
    facts = Facts(home=str(paths.home(plan.name)))
    accel = Chosen("tcg" if plan.accel == "auto" else str(plan.accel), "for show")
    images = defaults.images(target, {}, None)
    texts = guest_files.texts(target.loaded, target.fence) if target.loaded else Texts()
    new = New(images, accel, files=plan_files.files(target), loader=firmware.loader(), texts=texts)
    want = desired(plan, assign(plan), facts, new)
    return domain_xml(target, domain(want.values(), one(target, vm)))
