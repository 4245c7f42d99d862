"""Part of a seed's story on the model and on a real host at once: do both come to the same?

Plans follow each other in a network namespace, without their guests; some runs end in the middle,
and strangers do with ip, nft and rm what they do to the model. After each, what the real drivers
observe there is compared with what the model's observe.
"""

import os
import random
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from provisioner.commands.execute import Order, Outcome
from provisioner.commands.session import on_host
from provisioner.errors import VmnetError
from provisioner.guest.boot import New
from provisioner.guest.domain import Domain, FileCopy, HalfStarted, Overlay, StrayDomain
from provisioner.host.drivers import Drivers, drivers
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.host.netlink import links
from provisioner.host.network import nftables, vlan
from provisioner.host.storage.disks import DiskDriver
from provisioner.host.system import paths, plan_folders
from provisioner.network import nft_ruleset
from provisioner.network.facts import Chosen, Facts, Firewall, Link
from provisioner.reconcile.desired import desired
from provisioner.reconcile.diff import Step, Verb, diff
from provisioner.reconcile.resources import Look, Snapshot
from provisioner.resource import Key, Resource, Resources, by_key
from tests.framework.lab import call
from tests.host_tools.namespace import fresh_namespace, ip
from tests.host_tools.processes import pid_with
from tests.simulation.command import LOADER, MICRO, Command, loaded
from tests.simulation.plans import plan
from tests.simulation.story import fresh
from tests.simulation.world import STATE, UPLINK, Broken, World

_GUESTS = (Domain, HalfStarted, StrayDomain, FileCopy)  # what is not compared here
_NAME = "real"
Act = tuple[str, Callable[[World], None], Callable[[], object]]
"""What a stranger does, to the model, and to the host."""


def _hosted(text: str, snapshot: Snapshot) -> Resources:
    """Return what must exist for a plan, without guests."""
    found, nics = loaded(text)
    there = snapshot.resources.values()
    disks = {r.path: r for r in there if isinstance(r, Overlay)}
    images = {vm.name: MICRO for vm in found.plan.vms}
    new = New(images, Chosen("tcg", ""), {}, disks, {}, LOADER)
    nics = on_host(found.plan, nics, snapshot.facts)
    every = desired(found.plan, nics, snapshot.facts, new)
    return {k: r for k, r in every.items() if not isinstance(r, _GUESTS)}


class ModelHost:
    """The model."""

    def __init__(self, *, devtmpfs: bool) -> None:
        self.world = fresh(devtmpfs=devtmpfs)
        self._command = Command(self.world, random.Random(0), _NAME)  # noqa: S311

    def look(self) -> Snapshot:
        """Look at it."""
        return self._command.look()

    def perform(self, step: Step) -> None:
        """Do a step, all its parts."""
        with self.world.by_vmnet():
            for _ in self._command.performed(step):
                pass


class RealHost:
    """The namespace that the calling thread is in."""

    def __init__(self) -> None:
        every = drivers(LibvirtSession(_NAME))
        self._drivers = Drivers(
            {k: x for k, x in every.makers.items() if k not in _GUESTS} | {Overlay: DiskDriver()},
            {k: x for k, x in every.others.items() if k not in _GUESTS},
            every.guests,
        )

    def look(self) -> Snapshot:
        """Look at it, as host/machine.py does, but for libvirt."""
        found, routes = links.observe()
        tables = nftables.listing()
        home = paths.home(_NAME)
        look = Look(_NAME, found, routes, tables, (), plan_folders.is_marked(home, _NAME))
        firewall = Firewall(namesakes=nft_ruleset.namesakes(tables.tables))
        facts = Facts(found, routes, home=str(home), firewall=firewall)
        return Snapshot(facts, by_key(self._drivers.observe(look)))

    def perform(self, step: Step) -> None:
        """Do a step."""
        if step.verb is not Verb.DELETE:
            plan_folders.make(paths.home(_NAME), _NAME)
        self._drivers.perform(step)


def tell_on_both(seed: int, tell: Callable[[str], None] = lambda _: None) -> None:
    """Live through a seed's story on both. Raises Broken where they differ."""
    luck = random.Random(seed)  # noqa: S311
    with _namespace() as here:
        model, real = ModelHost(devtmpfs=_has_devtmpfs()), RealHost()
        model.world.links[2] = replace(model.world.links[2], mac=here.mac, kind="veth")
        _same(model, real, "nothing was done")
        for _ in range(luck.choice((2, 3))):
            text = plan(luck, _NAME)
            if "vlan:" in text and vlan.missing():
                continue
            tell(text)
            _both_become(text, model, real, luck, tell)
            for _ in range(luck.choice((0, 1, 2))):
                if act := _act(model.world, luck):
                    what, on_model, on_host_ = act
                    tell(f"a stranger {what}")
                    on_model(model.world)
                    on_host_()
                    _same(model, real, what)
        tell("all goes")
        _both_become("", model, real, luck, tell, whole=True)
        if model.look().resources:
            raise Broken(f"down left {next(iter(model.look().resources))}")


def _both_become(
    text: str,
    model: ModelHost,
    real: RealHost,
    luck: random.Random,
    tell: Callable[[str], None],
    *,
    whole: bool = False,
) -> None:
    """Lead both to a plan, or to nothing, by the same steps; the last ones may not be taken."""
    each = [(host, host.look()) for host in (model, real)]
    todo = [diff(_hosted(text, look) if text else {}, look.resources) for _, look in each]
    on_model, on_real = ({_moved_id(s): s for s in steps} for steps in todo)
    if on_model.keys() != on_real.keys():
        raise Broken(f"other steps: {sorted(map(str, on_model.keys() ^ on_real.keys()))}")
    order, outcome = Order(todo[0], Outcome()), 0
    most = len(todo[0]) if whole or luck.random() < 0.6 else luck.randrange(len(todo[0]) + 1)
    while order.is_active() and outcome < most:
        for step in order.ready():
            if outcome >= most:
                break
            outcome += 1
            tell(f"  {step}")
            error = _done(model, step)
            other = _done(real, on_real[_moved_id(step)])
            if (error is None) != (other is None):
                raise Broken(f"{step}: the model says {error}, the host {other}")
            order.ended(step, error)
    _same(model, real, f"{most} of {len(todo[0])} steps were taken")


def _done(host: ModelHost | RealHost, step: Step) -> VmnetError | None:
    try:
        host.perform(step)
    except VmnetError as error:
        return error
    return None


def _same(model: ModelHost, real: RealHost, when: str) -> None:
    mine = dict(model.look().resources.items())
    theirs = by_key(_moved(r) for r in real.look().resources.values())
    for key in sorted(mine.keys() | theirs.keys()):
        if mine.get(key) != theirs.get(key):
            raise Broken(
                f"after {when}: {' '.join(key)}: "
                f"the model has {_apart(mine.get(key), theirs.get(key))}"
            )


def _apart(mine: Resource | None, theirs: Resource | None) -> str:
    if mine is None or theirs is None:
        return f"{mine}, the host {theirs}"
    return "; ".join(
        f"{f.name} {getattr(mine, f.name)!r}, the host {getattr(theirs, f.name)!r}"
        for f in fields(mine)
        if f.compare and getattr(mine, f.name, None) != getattr(theirs, f.name, None)
    )


def _moved_id(step: Step) -> tuple[Verb, Key]:
    return step.verb, _moved(step.resource).key


def _moved(resource: Resource) -> Resource:
    """Return a resource as if the plan's folder were where the model has it."""
    home, there = str(paths.home(_NAME)), f"{STATE}/{_NAME}"
    changes = {
        f.name: value.replace(home, there)
        for f in fields(resource)
        if isinstance(value := getattr(resource, f.name), str) and home in value
    }
    return replace(resource, **changes) if changes else resource


def _act(world: World, luck: random.Random) -> Act | None:
    """Choose what a stranger does, to the model and by programs of the host."""
    ours = [x for x in world.links.values() if x.name != UPLINK]
    if not ours:
        return None
    link = luck.choice(ours)
    acts = [_deleted(link), _set(link, "mtu", 1300, "mtu 1300"), _flushed()]
    if link.kind in {"macvtap", "vlan", "macvlan"}:
        acts.append(_set(link, "up", False, "down"))  # noqa: FBT003
    if link.kind == "macvtap":
        acts.append(_set(link, "alias", "mine", "alias mine"))
        acts.append(_set(link, "txqueuelen", 9, "txqueuelen 9"))
    acts += [_killed(pid, x.name) for pid, x in world.processes.items()]
    acts += [_removed(x) for x in world.below(STATE) if x.endswith((".conf", ".iso"))]
    acts += [_untabled(*x) for x in world.tables]
    return luck.choice(acts)


def _deleted(link: Link) -> Act:
    return (
        f"deletes {link.name}",
        lambda world: world.delete_link(link.index),
        lambda: ip(f"link del {link.name}"),
    )


def _set(link: Link, name: str, value: object, words: str) -> Act:
    return (
        f"sets {name} of {link.name} to {value}",
        lambda world: world.set_link(link.index, **{name: value}),
        lambda: ip(f"link set {link.name} {words}"),
    )


def _flushed() -> Act:
    return (
        "flushes all rules",
        lambda world: world.tables.clear(),
        lambda: call("nft", "flush", "ruleset"),
    )


def _untabled(family: str, name: str) -> Act:
    return (
        f"deletes the table {family} {name}",
        lambda world: world.delete_table(family, name),
        lambda: call("nft", "delete", "table", family, name),
    )


def _removed(path: str) -> Act:
    real = paths.home(_NAME) / path.removeprefix(f"{STATE}/{_NAME}/")
    return f"deletes {path}", lambda world: world.unlink(path), real.unlink


def _killed(pid: int, config: str) -> Act:
    real = paths.home(_NAME) / config.removeprefix(f"{STATE}/{_NAME}/")

    def kill() -> None:
        process = os.pidfd_open(pid_with(f"--conf-file={real}"))
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [], 10)
        os.close(process)

    return f"kills dnsmasq {config}", lambda world: world.kill(pid), kill


def _has_devtmpfs() -> bool:
    return " /dev devtmpfs " in Path("/proc/self/mounts").read_text()


@contextmanager
def _namespace() -> Iterator[Link]:
    """Enter a namespace with a NIC, and folders of its own for vmnet."""
    kept = {name: os.environ.get(name) for name in ("VMNET_STATE_DIR", "VMNET_RUN_DIR")}
    with TemporaryDirectory() as folder, fresh_namespace():
        os.environ |= {"VMNET_STATE_DIR": f"{folder}/s", "VMNET_RUN_DIR": f"{folder}/r"}
        ip(f"link add {UPLINK} type veth peer name far0", f"link set {UPLINK} up")
        ip("link set far0 up")
        try:
            found = links.named(UPLINK)
            assert found
            yield found
        finally:
            real = RealHost()
            for step in diff({}, real.look().resources):
                _done(real, step)
            for name, value in kept.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
