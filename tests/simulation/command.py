"""vmnet's commands on the model: what up, down and their joining code do, part by part.

What is wanted, what differs, in which order and what the host forbids is decided by the product's
own code; only what touches a machine is the model's.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from provisioner.commands.execute import Order, Outcome
from provisioner.commands.session import on_host
from provisioner.errors import VmnetError
from provisioner.guest.boot import BootFile, Loader, New
from provisioner.guest.domain import Domain, Image, Overlay
from provisioner.network import nft_ruleset
from provisioner.network.addressing import Nics, assign
from provisioner.network.facts import Chosen, Facts, Firewall
from provisioner.network.nft_ruleset import Listing
from provisioner.plan.load.loader import Loaded, load
from provisioner.preflight import host
from provisioner.preflight import images as imagerules
from provisioner.preflight.hosted_plan import HostedPlan
from provisioner.reconcile.desired import desired
from provisioner.reconcile.diff import Step, StepId, Verb, diff
from provisioner.reconcile.resources import Look, Snapshot
from provisioner.resource import Resources, by_key
from tests.simulation import folders
from tests.simulation.drivers import Model, Parts
from tests.simulation.world import RUN, World, refusal

MICRO = Image("/images/vmlinuz", "/images/initrd", "", 96)
LOADER = Loader("/uefi/code", "/uefi/vars")
KERNEL = BootFile("/files/k", "ab" * 32)
FAILED = "the machine said no"


@lru_cache(1024)
def loaded(text: str) -> tuple[Loaded, Nics]:
    """Load a plan and give its NICs their addresses, once."""
    found = load(text, "plan.yaml")
    return found, assign(found.plan)


@dataclass(slots=True)
class Report:
    """What a command says at its end."""

    refused: list[VmnetError] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    left: list[Step] = field(default_factory=list)
    want: Resources = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether it says that all is done."""
        return not (self.refused or self.outcome.failed or self.left)


@dataclass(slots=True)
class Command:
    """One command under way: `up` of a plan's text, or `down` of a name, where there is no text."""

    world: World
    luck: random.Random
    name: str
    text: str = ""
    recreate: bool = False
    disks: bool = False  # of down: they go too
    fails: bool = False  # the next part of a step does
    report: Report | None = None
    began: int = 0  # how often strangers had acted
    model: Model = field(init=False)
    _main: Parts | None = None

    def __post_init__(self) -> None:
        """Know the plan's part of the host."""
        self.model = Model(self.world, self.name)

    def __str__(self) -> str:
        """Return it as it is typed."""
        more = " --recreate" if self.recreate else ""
        disks = " --disks --yes" if self.disks else ""
        return f"up {self.name}{more}" if self.text else f"down --name {self.name}{disks}"

    def advance(self) -> str | None:
        """Do what is next; return what comes then, None when the command has ended."""
        if self._main is None:
            self.began = self.world.acts
            self.world.foreign |= self.world.renamed
            self._main = self._up() if self.text else self._down()
        self.world.may_lose = self.disks
        with self.world.by_vmnet():
            return next(self._main, None)

    @property
    def was_undisturbed(self) -> bool:
        """Whether no stranger has acted since it began."""
        return self.world.acts == self.began

    def look(self) -> Snapshot:
        """Look at the host, as host/machine.py does."""
        world, model = self.world, self.model
        mine = {k: r for k, r in world.records.items() if r.domain.plan == self.name}
        if not any(r.starting for r in mine.values()):
            world.opened(self.name)
        running = [
            r.domain
            for r in world.records.values()
            if r.domain.plan == self.name and not r.starting and r.pid in world.processes
        ]
        links, routes = tuple(world.links.values()), tuple(world.routes)
        tables = Listing(tuple(world.tables.values()))
        marked = folders.is_marked(world, model.home, self.name)
        look = Look(self.name, links, routes, tables, tuple(running), marked)
        firewall = Firewall(namesakes=nft_ruleset.namesakes(tables.tables))
        facts = Facts(links, routes, home=model.home, firewall=firewall)
        return Snapshot(facts, by_key(model.observe(look)))

    def wanted(self, snapshot: Snapshot) -> Resources:
        """Return what must exist for the plan to be up. Raises VmnetError for what is refused."""
        found, nics = loaded(self.text)
        plan, facts = found.plan, snapshot.facts
        nics = on_host(plan, nics, facts)
        there = snapshot.resources.values()
        disks = {r.path: r for r in there if isinstance(r, Overlay)}
        old = {} if self.recreate else {d.vm: d for d in there if isinstance(d, Domain)}
        images = {vm.name: MICRO for vm in plan.vms}
        refused = host.complaints(HostedPlan(plan, found.places, nics, facts), snapshot.resources)
        refused += imagerules.complaints(plan, found.places, images, disks, LOADER)
        assert self.report
        self.report.refused = refused
        files = {(vm.name, "kernel"): KERNEL for vm in plan.vms if vm.kernel}
        new = New(images, Chosen("tcg", ""), old, disks, files, LOADER)
        return desired(plan, nics, facts, new)

    def _up(self) -> Parts:
        report = self.report = Report()
        try:
            folders.refuse_foreign(self.world, self.model.home, self.name)
            yield from folders.make(self.world, f"{RUN}/{self.name}", self.name)
        except VmnetError as error:
            report.refused.append(error)
            return
        yield "looks"
        snapshot = self.look()
        want = report.want = self.wanted(snapshot)
        steps = diff(want, snapshot.resources)
        report.refused += _losses(steps)
        if not self.recreate:
            report.refused += _restarts(steps)
        if not report.refused:
            yield from self._execute(steps)
        yield from self._ended(want)

    def _down(self) -> Parts:
        report = self.report = Report()
        try:
            yield from folders.make(self.world, f"{RUN}/{self.name}", self.name)
        except VmnetError as error:
            report.refused.append(error)
            return
        yield "looks"
        yield from self._execute(diff({}, self._doomed(self.look().resources)))
        yield from self.model.put_back()
        yield from self._ended({})

    def _doomed(self, found: Resources) -> Resources:
        """Return what is there, with no disk to be kept where all are to go."""
        if not self.disks:
            return found
        return {
            k: replace(r, keep=False) if isinstance(r, Overlay) else r for k, r in found.items()
        }

    def _ended(self, want: Resources) -> Parts:
        yield "looks again"
        report, resources = self.report, self.look().resources
        assert report
        if not report.refused:
            report.left = diff(want, self._doomed(resources))
        if all(r.OF_HOST or r.stays for r in resources.values()):
            kept = {r.path for r in resources.values() if isinstance(r, Overlay) and r.stays}
            yield from folders.clear(self.world, self.name, kept)

    def _execute(self, steps: list[Step]) -> Parts:
        """Perform steps side by side, any of them next, in the order that the product allows."""
        assert self.report
        order = Order(steps, self.report.outcome)
        running: dict[StepId, tuple[Step, Parts]] = {}
        while order.is_active():
            for step in order.ready():
                running[step.id] = step, self.performed(step)
            if not running:
                continue
            step, parts = running[self.luck.choice(list(running))]
            error = None
            try:
                if self.fails:
                    self.fails = False
                    part = parts.throw(refusal(FAILED))
                else:
                    part = next(parts)
            except StopIteration:
                part = ""
            except VmnetError as raised:
                part, error = "", raised
            if part:
                yield f"{step.verb} {step.title}: {part}"
            else:
                del running[step.id]
                order.ended(step, error)

    def performed(self, step: Step) -> Parts:
        """Do one step, part by part."""
        if step.verb is not Verb.DELETE:
            parts = folders.make(self.world, self.model.home, self.name)
            yield from self.model.alone("the folder", parts)
        yield from self.model.perform(step)


def _losses(steps: list[Step]) -> Iterator[VmnetError]:
    """Return which disks would be made anew, and lose what is to be kept."""
    for s in steps:
        if s.verb is Verb.DELETE and isinstance(s.resource, Overlay) and s.resource.stays:
            yield refusal(f"{s.title} would have to be made anew: {s.cause}")


def _restarts(steps: list[Step]) -> Iterator[VmnetError]:
    """Return why guests would be ended, which they are not unless that is wanted."""
    created = {s.resource.key for s in steps if s.verb is Verb.CREATE}
    for s in steps:
        if isinstance(s.resource, Domain) and s.verb is Verb.DELETE and s.resource.key in created:
            yield refusal(f"{s.resource.vm} would have to be started anew: {s.cause}")
