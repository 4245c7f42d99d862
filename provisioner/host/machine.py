"""The host as one thing: observe all of a plan, perform one step. Runs in the worker process."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from provisioner.core import names
from provisioner.core.diff import Step, Verb
from provisioner.core.facts import Chosen, Facts, Link, Live, Snapshot
from provisioner.core.resources import Domain, Macvtap, Resource, Seed, Switch, by_key
from provisioner.core.text import one_line
from provisioner.errors import Exit, VmnetError
from provisioner.host import (
    connection,
    domains,
    embedded,
    links,
    macvtaps,
    netlink,
    places,
    seeds,
    switches,
    taps,
)
from provisioner.host.domains import Domains
from provisioner.host.guests import Guests
from provisioner.host.worker import Event, tell


def serve() -> dict[str, Callable[..., object]]:
    """Make the worker ready and give what can be asked of it."""
    embedded.private_mounts()
    # What matters of libvirt's log arrives as an error anyway.
    os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null")
    machine = Machine()
    threading.Thread(target=_warm_up, daemon=True).start()
    return {
        "open": machine.open,
        "observe": machine.observe,
        "perform": machine.perform,
        "guest": machine.guest,
        "agents": machine.agents,
        "terminal": machine.terminal,
        "tidy": machine.tidy,
        "abandon": machine.abandon,
        "close": machine.close,
    }


def _warm_up() -> None:
    """Import what is heavy while vmnet reads the plan on the other core."""
    for room in (netlink, domains):
        room.warm_up()


class Machine:
    """One plan's part of the host."""

    def __init__(self) -> None:
        self._plan = ""
        self._domains: Domains | None = None
        self._embedded = False

    def open(self, plan: str, wish: str) -> Chosen:
        """Connect to libvirt for a plan. Raises VmnetError when it cannot be reached."""
        embedded.clear_half_started(plan)
        chosen = connection.choose(wish, plan)
        self._plan = plan
        self._embedded = connection.is_embedded(chosen.what)
        run_dir = Path("/run/libvirt")
        if self._embedded:
            run_dir = embedded.prepare_root(plan) / "run"
            embedded.hide_useless_kvm()
        domains.quiet()
        domains.run_events()
        try:
            self._domains = Domains(
                chosen.what, plan, run_dir, lambda vm, kind, detail: tell(Event(vm, kind, detail))
            )
        except VmnetError:
            self.abandon()
            raise
        return chosen

    def observe(self) -> Snapshot:
        """Read what the plan owns on the host, and the facts that a plan can depend on."""
        found, routes = links.observe()
        running, foreign, live = self._open.observe()
        self._refuse_other_namespace(live)
        ours = [x for x in found if self._is_ours(x)]
        taps.remove_stale_nodes(places.nodes(self._plan), [x.index for x in ours])
        owned: list[Resource] = [*running, *seeds.observe(places.seeds(self._plan))]
        owned += _links(ours, {x.index: x.name for x in found})
        indexes = {x.name: x.index for x in ours}
        taps_of = {d.vm: tuple((n.link, indexes.get(n.link, 0)) for n in d.nics) for d in running}
        facts = Facts(
            links=found,
            routes=routes,
            foreign_domains=tuple(foreign),
            home=str(places.home(self._plan)),
            live=tuple(Live(x.vm, x.state, x.pid, taps_of.get(x.vm, ())) for x in live),
        )
        return Snapshot(facts, by_key(owned))

    def perform(self, step: Step, xml: str = "") -> None:
        """Do one step: the whole of it, or nothing that anybody would recognise."""
        match step.verb:
            case Verb.CREATE:
                self._create(step.resource, xml)
            case Verb.UPDATE:
                self._update(step.resource)
            case Verb.DELETE:
                self._delete(step)

    def guest(self, vm: str, method: str, *args: object) -> object:
        """Ask something of a guest through its agent: a method of host.guests.Guests."""
        guests = Guests(self._open, names.domain(self._plan, vm))
        return getattr(guests, method)(*args)

    def agents(self) -> list[str]:
        """List the VMs whose guest agent has opened its port."""
        running, _, _ = self._open.observe()
        return [d.vm for d in running if self._open.agent_connected(d.name)]

    def terminal(self, vm: str) -> str:
        """Give the pseudo-terminal that a VM's serial line ends in."""
        return self._open.terminal(names.domain(self._plan, vm))

    def tidy(self) -> None:
        """Take away the plan's directories, after everything in them has ended."""
        self.close()
        # What is in there is vmnet's by its place; a link out of it is not followed.
        shutil.rmtree(places.home(self._plan), ignore_errors=True)
        if self._embedded:
            shutil.rmtree(places.libvirt_root(self._plan), ignore_errors=True)
        for parent in (places.state(), places.run()):
            try:
                parent.rmdir()
            except OSError:
                continue  # another plan's files are in it

    def abandon(self) -> None:
        """Take away what `open` laid out, when the command fails before anything else is made."""
        self.close()
        if self._embedded and not embedded.has_vms(self._plan):
            shutil.rmtree(places.libvirt_root(self._plan), ignore_errors=True)

    def close(self) -> None:
        """Let go of libvirt; the guests run on."""
        if self._domains:
            self._domains.close()
            self._domains = None

    @property
    def _open(self) -> Domains:
        if not self._domains:
            raise VmnetError("vmnet's connection to libvirt is closed", fix="run the command again")
        return self._domains

    def _is_ours(self, link: Link) -> bool:
        """Tell whether a link bears all marks of this plan.

        The alias is missing only when vmnet was killed between two messages of one call.
        """
        return (
            link.group == names.group(self._plan)
            and names.are_ours(link.name, link.kind)
            and (not link.alias or link.alias.startswith(f"vmnet:{self._plan}/"))
        )

    def _refuse_other_namespace(self, live: list[Live]) -> None:
        here = Path("/proc/self/ns/net").stat().st_ino
        for vm in live:
            try:
                there = Path(f"/proc/{vm.pid}/ns/net").stat().st_ino if vm.pid else here
            except OSError:
                continue  # it ended meanwhile
            if there != here:
                raise VmnetError(
                    f'VM "{vm.vm}" of this plan runs in another network namespace (pid {vm.pid})',
                    fix=f"run vmnet there: nsenter -n -t {vm.pid} vmnet …; or rename this plan",
                    status=Exit.CONFLICT,
                )

    def _create(self, resource: Resource, xml: str) -> None:
        match resource:
            case Switch():
                try:
                    switches.create(resource)
                except FileExistsError as error:
                    raise _taken(resource.name) from error
            case Macvtap():
                self._create_macvtap(resource)
            case Seed():
                seeds.create(resource)
            case Domain():
                indexes = {x.name: x.index for x in links.observe()[0]}
                taps.prove_usable({n.link: indexes.get(n.link, 0) for n in resource.nics})
                _make_directory(Path(resource.console).parent)
                self._open.create(resource, xml)

    def _create_macvtap(self, tap: Macvtap) -> None:
        _, _, path = tap.alias.partition(":")
        plan, vm, nic = path.split("/")
        for index in names.ifindexes(plan, vm, int(nic)):
            if not taps.is_free(index):
                continue  # another namespace's node, or one that somebody made: not ours to open
            try:
                macvtaps.create(tap, index)
            except FileExistsError as error:
                if netlink.index_of(tap.name):
                    raise _taken(tap.name) from error
                continue  # the ifindex was taken meanwhile
            if taps.state_of(tap.name, index) == "missing":
                taps.make_node(tap.name, index, places.nodes(self._plan))
            if taps.state_of(tap.name, index) == "right":
                return
            links.delete(tap.name)

    def _update(self, resource: Resource) -> None:
        match resource:
            case Switch():
                switches.update(resource)
            case Macvtap():
                have = next(x for x in links.observe()[0] if x.name == resource.name)
                macvtaps.update(resource, have)
                if taps.state_of(have.name, have.index) == "missing":
                    taps.make_node(have.name, have.index, places.nodes(self._plan))
            case Seed() | Domain():
                raise RuntimeError(resource)  # core.diff knows that these are never updated

    def _delete(self, step: Step) -> None:
        match step.resource:
            case Domain() as domain:
                self._open.destroy(domain)
                Path(domain.console).unlink(missing_ok=True)
            case Seed() as seed:
                seeds.delete(seed)
            case Switch() | Macvtap():
                gone = (step.resource, *step.together)
                self._delete_links([r.name for r in gone if isinstance(r, Switch | Macvtap)])

    def _delete_links(self, wanted: list[str]) -> None:
        here = {x.name: x for x in links.observe()[0] if self._is_ours(x)}
        gone = [here[name] for name in wanted if name in here]
        # The node first: when vmnet is killed in between, the link still tells whose it was.
        for link in gone:
            if link.kind == "macvtap":
                taps.remove_node(link.index, places.nodes(self._plan))
        if len(wanted) > 1:
            links.delete_group(names.group(self._plan), self._is_ours)
        else:
            for link in gone:
                links.delete(link.name)


def _taken(name: str) -> VmnetError:
    return VmnetError(
        f'the device name "{name}" has been taken meanwhile by something that is not vmnet\'s',
        fix=f"look at it with: ip -d link show dev {name}",
        status=Exit.CONFLICT,
    )


def _make_directory(path: Path) -> None:
    try:
        places.make(path)
    except OSError as error:
        raise VmnetError(
            f"cannot make the directory {path}: {error.strerror}",
            fix="make room or mend the rights there, or set VMNET_STATE_DIR",
        ) from error


def _links(ours: list[Link], by_index: dict[int, str]) -> list[Resource]:
    out: list[Resource] = []
    for link in ours:
        if link.kind == "macvtap":
            out.append(
                Macvtap(
                    name=link.name,
                    uplink=by_index.get(link.lower, "?"),
                    mode=link.mode,
                    mac=link.mac,
                    mtu=link.mtu,
                    group=link.group,
                    alias=one_line(link.alias),
                    altname=one_line(link.altname),
                    nopromisc=link.nopromisc,
                    sources=link.sources,
                    queues=link.queues,
                    txqueuelen=link.txqueuelen,
                    up=link.up,
                    quiet=link.quiet,
                    node=taps.state_of(link.name, link.index),
                )
            )
        elif link.name.startswith("mvl"):
            far = next((x for x in ours if x.index == link.lower), None)
            out.append(
                Switch(
                    name=link.name,
                    far=far.name if far else "",
                    addresses=far.addresses if far else (),
                    mtu=min(link.mtu, far.mtu) if far else link.mtu,
                    group=link.group,
                    alias=one_line(link.alias),
                    up=link.up and bool(far and far.up),
                )
            )
    return out
