"""The drivers of the model: what host/ does about each kind of resource, part by part.

A driver's method is a generator: it yields before each part that a kill can come before, with the
part's name, and does what the real driver of that kind does to its host. Where a part fails, the
error is thrown into it there.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.guest.domain import (
    Domain,
    FileCopy,
    HalfStarted,
    LeftDraft,
    Overlay,
    Seed,
    StrayDomain,
)
from provisioner.guest.hosts_block import HostsBlock
from provisioner.host.network import devices, host_access, impairment, switch, vlan
from provisioner.network import dnsmasq, nft_ruleset, nftables
from provisioner.network.facts import Link, Route
from provisioner.network.nft_ruleset import Table
from provisioner.network.resources import (
    Device,
    Dhcp,
    Guard,
    HostAccess,
    Impaired,
    LeftNode,
    LeftWire,
    Macvtap,
    Nat,
    Switch,
    Vlan,
)
from provisioner.plan.choices import Mode
from provisioner.reconcile.diff import Step, Verb
from provisioner.reconcile.resources import Look
from provisioner.resource import Resource
from tests.simulation import folders
from tests.simulation.world import STATE, Process, Record, World, refusal

Parts = Generator[str, None, None]
_OWNED = ("console", "seed", "disk", "boot", "dhcp")


@dataclass(slots=True)
class Model:
    """One plan's part of the model host."""

    world: World
    plan: str
    busy: set[str] = field(default_factory=set)  # what one step at a time does

    @property
    def home(self) -> str:
        """The folder of the plan's files."""
        return f"{STATE}/{self.plan}"

    def observe(self, look: Look) -> list[Resource]:
        """List what vmnet made for the plan, or has left; as host/drivers.py does."""
        return [
            *self._guests(look),
            *switch.observe(look),
            *vlan.observe(look),
            *self._accesses(look),
            *self._macvtaps(look),
            *self._tables(look),
            *impairment.observe(look),
            *self._servers(look),
            *(self._files(look) if look.has_home else ()),
        ]

    def perform(self, step: Step) -> Parts:
        """Do one step, part by part."""
        resource = step.resource
        driver = KINDS[type(resource)]
        match step.verb:
            case Verb.CREATE:
                try:
                    yield from driver[0](self, resource)
                except FileExistsError as error:
                    if isinstance(resource, Device):
                        raise devices.taken(resource.name) from error
                    raise
            case Verb.UPDATE:
                yield from driver[1](self, resource)
            case Verb.DELETE if step.together:
                yield from self._delete_all([resource, *step.together])
            case _:
                yield from driver[2](self, resource)

    # What is there.

    def _guests(self, look: Look) -> Iterator[Resource]:
        yield from (replace(x, home=self.home) for x in look.domains)
        for name, record in self.world.records.items():
            if record.starting and record.domain.plan == self.plan:
                yield HalfStarted(name, name)
        for pid, process in self.world.processes.items():
            plan, _, vm = process.name.rpartition("-")
            known = process.name in self.world.records
            if (process.kind, plan) == ("qemu", self.plan) and not known:
                yield StrayDomain(pid, plan, vm)

    def _accesses(self, look: Look) -> Iterator[HostAccess]:
        for found in host_access.observe(look):
            link = self.world.existing(found.name)
            yield replace(found, answers_for_itself=link.index in self.world.arp_ignored)

    def _macvtaps(self, look: Look) -> Iterator[Macvtap]:
        for x in look.ours:
            if x.kind == "macvtap":
                under, node = look.name_of(x.lower) or "?", self.world.node_of(x)
                yield Macvtap.from_link(x, under, plan=self.plan, node=node)

    def _tables(self, look: Look) -> Iterator[Resource]:
        for rules in nft_ruleset.own(self.plan, look.tables.tables):
            if isinstance(rules, Nat):
                now = tuple(v for v in rules.forwards if self.world.forwarding[v])
                yield replace(rules, forwards=now)
            else:
                yield replace(rules, device=rules.device if self.world.named(rules.device) else "")

    def _servers(self, look: Look) -> Iterator[Dhcp]:
        written = self._configs() if look.has_home else []
        for config in sorted({*written, *self._running()}):
            yield from self._dhcp(config)

    def _files(self, look: Look) -> Iterator[Resource]:  # noqa: C901  (one branch a kind)
        files, home = self.world.files, self.home
        for path in self.world.below(home):
            folder, name = path.rsplit("/", 1)
            own = folders.is_own(self.world, path)
            if folder == f"{home}/seed" and name.endswith(".iso") and own:
                yield Seed(path)
            elif folder == f"{home}/disk" and name.endswith(".qcow2") and own:
                size, _, below = files[path].partition(" ")
                backing, _, form = below.partition(" ")
                vm, _, keep = folders.record(self.world, path).partition(" ")
                written = path in self.world.written
                whose = keep != "drop", self.plan, vm or name.partition(".")[0], ""
                yield Overlay(path, int(size or 0), backing, form, *whose, is_written=written)
            elif folder == f"{home}/boot" and not name.startswith(".") and own:
                yield FileCopy(path)
            elif folder == f"{home}/node":
                index = int(name.removeprefix("tap"))
                if index not in {x.index for x in look.ours}:
                    yield LeftNode(f"/dev/tap{index}", path)
            elif name.startswith(".") and name.endswith(".part"):
                place = folder.removeprefix(f"{home}/")
                if place in _OWNED and folders.is_own(self.world, folders.of_draft(path)):
                    yield LeftDraft(path)
            elif name.startswith(".") and name.endswith(".own"):
                of, place = folders.of_draft(path), folder.removeprefix(f"{home}/")
                is_written = bool({of, folders.draft_of(of)} & files.keys())
                if folders.may_be_litter(place, of) and not is_written:
                    yield LeftDraft(path)

    def _running(self) -> dict[str, list[int]]:
        """Return the servers that run, by configuration, whatever has become of their files."""
        found: dict[str, list[int]] = {}
        for pid, process in self.world.processes.items():
            if process.kind == "dnsmasq" and process.name.startswith(f"{self.home}/dhcp/"):
                found.setdefault(process.name, []).append(pid)
        return found

    def _dhcp(self, config: str) -> Iterator[Dhcp]:
        if network := dnsmasq.network_of(config.rsplit("/", 1)[-1]):
            pids = self._running().get(config, [])
            alive = not all(self.world.processes[pid].stopped for pid in pids)
            device = dnsmasq.device_of(self.world.files.get(config, ""))
            yield Dhcp(network, device, config, alive=alive)

    # Devices.

    def _new(self, name: str, kind: str, index: int, device: Any, **more: Any) -> Link:  # noqa: ANN401
        made = {"mac": "", "mtu": device.mtu, "alias": device.alias, "group": device.group} | more
        return Link(
            *(name, index, kind, made.pop("mac"), made.pop("mtu")),
            ethernet=True,
            up=False,
            carrier=True,
            ipv6=True,
            learns=kind != "macvtap",
            **made,
        )

    def _creating(self, make: Callable[[], object], names: Iterable[str], rest: Parts) -> Parts:
        """Make devices in one call, then do the rest; what was made goes when that fails."""
        taken = [name for name in names if self.world.named(name)]
        if taken:
            raise FileExistsError(taken[0])
        yield "the devices"
        make()
        indexes = {name: self.world.existing(name).index for name in names}
        try:
            yield from rest
        except VmnetError:
            for name, index in indexes.items():
                link = self.world.links.get(index)
                if link and link.name == name:
                    self.world.delete_link(index)
            raise

    def create_macvtap(self, tap: Macvtap) -> Parts:
        world = self.world
        for index in naming.ifindexes(tap.plan, tap.vm, tap.nic):
            if index in world.nodes:
                continue
            if world.named(tap.name):
                raise FileExistsError(tap.name)
            if index in world.links:
                continue
            yield "the macvtap"
            uplink = world.existing(tap.uplink)
            mac = uplink.mac if tap.mode.takes_uplink_mac else tap.mac
            link = self._new(
                *(tap.name, "macvtap", index, tap),
                mac=mac,
                lower=uplink.index,
                mode=str(tap.mode),
                altname=tap.altname,
                nopromisc=tap.nopromisc,
                sources=tap.sources if tap.mode.has_source_list else (),
                queues=tap.queues,
                txqueuelen=tap.txqueuelen,
            )
            world.add_link(link)
            try:
                if world.links[index].altname != tap.altname:
                    raise refusal("the kernel says File exists")
                yield from self._activate(index, tap)
            except VmnetError:
                world.delete_link(index)
                raise
            yield from self._node(index)
            return

    def _activate(self, index: int, tap: Macvtap) -> Parts:
        yield "IPv6 off"
        self.world.set_link(index, ipv6=False)
        yield "the flags"
        self.world.set_link(index, quiet=True, all_multicast=True, up=tap.up)

    def _node(self, index: int) -> Parts:
        world = self.world
        if index in world.links and index not in world.nodes:
            yield "the node's record"
            if index not in world.minors:
                raise refusal("sysfs does not show the macvtap")
            minor = world.minors[index]
            world.write(f"{self.home}/node/tap{index}", str(minor))
            yield "the node"
            world.nodes.setdefault(index, minor)

    def update_macvtap(self, tap: Macvtap) -> Parts:
        index = self.world.existing(tap.name).index
        yield "the settings"
        self.world.set_link(
            index,
            mode=str(tap.mode),
            nopromisc=tap.nopromisc,
            sources=tap.sources if tap.mode.has_source_list else (),
            altname=tap.altname,
            mtu=tap.mtu,
            txqueuelen=tap.txqueuelen,
            alias=tap.alias,
        )
        # A stranger who has renamed it meanwhile has left it all its marks but the name again.
        self.world.renamed.discard(("link", index))
        yield from self._activate(index, tap)
        yield from self._node(index)

    def delete_macvtap(self, tap: Macvtap) -> Parts:
        link = self.world.named(tap.name)
        if link and link.name == tap.name and link.group == tap.group:
            yield from self._release(link.index)
        yield from self.delete_device(tap)

    def _release(self, index: int) -> Parts:
        world, record = self.world, f"{self.home}/node/tap{index}"
        if record in world.files:
            yield "the node goes"
            if str(world.nodes.get(index)) == world.files[record]:
                world.nodes.pop(index)
            yield "its record goes"
            world.unlink(record)

    def delete_device(self, device: Switch | Vlan | HostAccess | Macvtap) -> Parts:
        for link in list(self.world.links.values()):
            if link.name in device.parts and devices.is_part(link, device):
                yield f"{link.name} goes"
                self.world.delete_link(link.index)

    def _delete_all(self, doomed: list[Resource]) -> Parts:
        parts: set[str] = set()
        for device in doomed:
            assert isinstance(device, Device)
            parts.update(device.parts)
            link = self.world.named(device.name)
            if isinstance(device, Macvtap) and link and link.group == device.group:
                yield from self._release(link.index)
        yield "the whole group goes"
        every = list(self.world.links.values())
        groups = {x.group for x in every if x.name in parts and naming.is_group(x.group)}
        for link in every:
            if link.group in groups and link.name in parts:
                self.world.delete_link(link.index)

    def create_switch(self, made: Switch) -> Parts:
        world = self.world
        lower, peer, bridge = (
            next(iter(naming.link_indexes(x)))
            for x in (made.name, made.peer, made.bridge or "none")
        )

        def make() -> None:
            near = self._new(made.name, "veth", lower, made, mac=made.mac, lower=peer)
            far = self._new(made.peer, "veth", peer, made, mac=made.host_mac, lower=lower)
            if made.bridge:
                side = self._new(made.bridge, "bridge", bridge, made, mac=made.host_mac)
                world.add_link(side)
                far = replace(far, master=bridge, hairpin=True)
            world.add_link(near)
            world.add_link(far)

        ends = [lower, peer, *([bridge] if made.bridge else [])]
        yield from self._creating(make, made.parts, self._opened(made, lower, ends))

    def _opened(self, made: Switch, lower: int, ends: list[int]) -> Parts:
        yield "IPv6 off"
        self.world.set_link(lower, ipv6=False, learns=False)
        yield "no routers"
        for index in ends[1:]:
            self.world.set_link(index, learns=False)
        yield "addresses"
        for index in ends:
            self.world.set_link(index, up=True, addresses=())
        self.world.set_link(ends[-1], addresses=made.addresses)

    def update_switch(self, made: Switch) -> Parts:
        world = self.world
        lower, peer = world.existing(made.name).index, world.existing(made.peer).index
        name = naming.BRIDGE + made.name.removeprefix(naming.LOWER)
        here = world.named(name)
        if here and (here.kind, here.group) != ("bridge", made.group):
            raise devices.taken(name)
        yield "the bridge"
        if made.bridge and not here:
            if world.named(name):  # a stranger has been quicker: the kernel refuses
                raise devices.taken(name)
            index = next(x for x in naming.link_indexes(name) if x not in world.links)
            here = self._new(name, "bridge", index, made, mac=made.host_mac)
            world.add_link(here)
        ends = [lower, peer]
        if made.bridge and here:
            ends.append(here.index)
            world.set_link(peer, master=here.index, hairpin=True, port_drops=())
        else:
            if here:
                world.delete_link(here.index)
            world.set_link(peer, master=0, hairpin=False)
        for index in ends:
            world.set_link(index, mtu=made.mtu, alias=made.alias)
        for index in ends[1:]:
            world.set_link(index, mac=made.host_mac)
        yield from self._opened(made, lower, ends)
        yield from self.alone("dnsmasq", self._restart(made.host_side))

    def create_vlan(self, made: Vlan) -> Parts:
        index = next(x for x in naming.link_indexes(made.name) if x not in self.world.links)

        def make() -> None:
            under = self.world.existing(made.uplink)
            link = self._new(
                *(made.name, "vlan", index, made), mac=under.mac, lower=under.index, vid=made.vid
            )
            self.world.add_link(link)

        yield from self._creating(make, [made.name], self._vlan_up(index))

    def _vlan_up(self, index: int) -> Parts:
        yield "IPv6 off"
        self.world.set_link(index, ipv6=False, learns=False)
        yield "up"
        self.world.set_link(index, up=True)

    def update_vlan(self, made: Vlan) -> Parts:
        index = self.world.existing(made.name).index
        yield "the settings"
        self.world.set_link(index, mtu=made.mtu, alias=made.alias)
        yield from self._vlan_up(index)

    def create_access(self, made: HostAccess) -> Parts:
        index = next(x for x in naming.link_indexes(made.name) if x not in self.world.links)

        def make() -> None:
            under = self.world.existing(made.uplink)
            link = self._new(
                *(made.name, "macvlan", index, made),
                mac=made.mac,
                lower=under.index,
                mode=str(Mode.BRIDGE),
            )
            self.world.add_link(link)
            self.world.arp_ignored.add(index)

        yield from self._creating(make, [made.name], self._access_up(made, index))

    def _access_up(self, made: HostAccess, index: int) -> Parts:
        world = self.world
        yield "no routers"
        world.set_link(index, learns=False)
        yield "addresses and routes"
        world.set_link(index, up=True, addresses=made.addresses, mac=made.mac)
        name = world.links[index].name
        kept = [x for x in world.routes if x.device != name]
        world.routes = [*kept, *(Route(x, name) for x in made.routes)]

    def update_access(self, made: HostAccess) -> Parts:
        index = self.world.existing(made.name).index
        yield "the settings"
        self.world.set_link(index, mtu=made.mtu, alias=made.alias, mode=str(Mode.BRIDGE))
        self.world.arp_ignored.add(index)
        yield from self._access_up(made, index)

    # Rules.

    def create_rules(self, rules: Guard | Nat) -> Parts:
        yield from self._put(rules, anew=True)

    def update_rules(self, rules: Guard | Nat) -> Parts:
        yield from self._put(rules, anew=False)

    def _put(self, rules: Guard | Nat, *, anew: bool) -> Parts:
        world, text = self.world, rules.text
        if isinstance(rules, Guard):
            yield "the table"
            if not world.named(rules.device):
                raise refusal("cannot set up the guard: No such file or directory")
            world.put_table(rules.family, rules.name, text, anew=anew)
            return
        if anew and not rules.translates:
            yield "the table"
            world.put_table(
                rules.family, rules.name, text + nft_ruleset.record(rules, {}), anew=True
            )
            return
        tables = tuple(world.tables.values())
        noted: dict[int, int] = {}
        for one in world.noted.values():
            noted |= {version: max(on, noted.get(version, 0)) for version, on in one.items()}
        now = {v: world.forwarding[v] for v in rules.forwards}
        was = nft_ruleset.forwarded_before(tables, noted, now)
        yield from self._give_up(tables, rules, was)
        yield "the table"
        record = nft_ruleset.record(rules, was)
        world.put_table(rules.family, rules.name, text + record, anew=anew)
        for version in rules.forwards:
            yield "forwarding"
            world.forwarding[version] = 1

    def _give_up(self, tables: tuple[Table, ...], rules: Nat, was: dict[int, int]) -> Parts:
        yield "forwarding goes back"
        mine = self.world.noted.get(self.plan, {})
        gone = nft_ruleset.given_up(tables, rules.name, rules.forwards, mine)
        self.world.forwarding.update(gone)
        yield "its second record"
        own = (t for t in tables if t.name != rules.name and nftables.plan_of(t.name) == self.plan)
        self.world.noted[self.plan] = was | nft_ruleset.before(own)

    def put_back(self) -> Parts:
        """Restore what forwarding was, when the tables that tell it are gone."""
        if noted := self.world.noted.get(self.plan):
            tables = self.world.tables.values()
            yield "what is left of forwarding goes back"
            if left := nft_ruleset.left_on(self.plan, tables, noted):
                self.world.forwarding.update(left)
                del self.world.noted[self.plan]

    def delete_rules(self, rules: Guard | Nat) -> Parts:
        if isinstance(rules, Nat) and rules.translates:
            yield from self._give_up(
                tuple(self.world.tables.values()), replace(rules, forwards=()), {}
            )
        yield "the table goes"
        self.world.delete_table(rules.family, rules.name)

    def delete_impaired(self, impaired: Impaired) -> Parts:
        yield "the table goes"
        self.world.delete_table("netdev", f"vmnetlink_{impaired.name}")

    # The DHCP server.

    def _configs(self) -> list[str]:
        found = [x for x in self.world.below(f"{self.home}/dhcp") if x.endswith(".conf")]
        return [x for x in found if folders.is_own(self.world, x)]

    def _lease(self, config: str) -> str:
        folder, name = config.rsplit("/", 1)
        return f"{folder}/{dnsmasq.network_of(name)}.leases"

    def alone(self, what: str, parts: Parts) -> Parts:
        """Do parts while no other step does such ones."""
        while what in self.busy:
            yield f"waits for {what}"
        self.busy.add(what)
        try:
            yield from parts
        finally:
            self.busy.discard(what)

    def create_dhcp(self, dhcp: Dhcp) -> Parts:
        yield from self.alone("dnsmasq", self._create_dhcp(dhcp))

    def _create_dhcp(self, dhcp: Dhcp) -> Parts:
        world, config = self.world, dhcp.config
        draft, lease = folders.draft_of(config), self._lease(config)
        yield from folders.own(world, config)
        yield from folders.own(world, lease)
        try:
            yield "the configuration's draft"
            world.write(draft, dhcp.text)
            yield "the configuration"
            world.rename(draft, config)
        except VmnetError:
            world.unlink(draft)
            self._give_up_server(config)
            raise
        yield from self._end(config)
        try:
            yield "dnsmasq"
            if not world.named(dhcp.device):
                raise refusal(f"dnsmasq does not serve {dhcp.name}")
        except VmnetError:
            world.unlink(config)
            self._give_up_server(config)
            raise
        world.files.setdefault(lease, "")
        world.spawn(Process("dnsmasq", config))

    def _end(self, config: str) -> Parts:
        network = dnsmasq.network_of(config.rsplit("/", 1)[-1])
        for other, pids in self._running().items():
            for pid in pids if dnsmasq.network_of(other.rsplit("/", 1)[-1]) == network else ():
                yield "the server ends"
                self.world.kill(pid)

    def _restart(self, device: str) -> Parts:
        for config in self._configs():
            for dhcp in list(self._dhcp(config)):
                if dhcp.device == device and dhcp.alive:
                    text = self.world.files[config]
                    yield from self._create_dhcp(replace(dhcp, text=text))

    def delete_dhcp(self, dhcp: Dhcp) -> Parts:
        yield from self.alone("dnsmasq", self._delete_dhcp(dhcp))

    def _delete_dhcp(self, dhcp: Dhcp) -> Parts:
        world, config = self.world, dhcp.config
        yield from self._end(config)
        lease = self._lease(config)
        if dhcp.name not in self._networks({config}) and folders.is_own(world, lease):
            yield "the leases go"
            world.unlink(lease)
            yield "their mark goes"
            folders.disown(world, lease)
        pid = config.removesuffix(".conf") + ".pid"
        for path in (pid, folders.draft_of(config), config):
            yield f"{path} goes"
            world.unlink(path)
        yield "its mark goes"
        folders.disown(world, config)

    def _networks(self, but: Collection[str] = ()) -> set[str]:
        """Return the networks that configurations are there for, but for some of these."""
        return {dnsmasq.network_of(x.rsplit("/", 1)[-1]) for x in {*self._configs()} - {*but}}

    # Guests' files.

    def create_file(self, file: Seed | Overlay | FileCopy) -> Parts:
        world, path = self.world, file.path
        draft = folders.draft_of(path)
        text, record = "whole", ""
        if isinstance(file, Overlay):
            text = f"{file.size} {file.backing} {file.backing_format}"
            record = f"{file.vm} {'keep' if file.keep else 'drop'}"
        try:
            yield from folders.own(world, path, record)
            if isinstance(file, Seed) and file.host_key:
                yield from self._key(file.vm)
            yield "the draft"
            world.unlink(draft)
            world.write(draft, text)
            yield "the name"
            world.rename(draft, path)
        except VmnetError:
            world.unlink(draft)
            if path not in world.files:
                folders.disown(world, path)
            raise

    def _key(self, vm: str) -> Parts:
        world, folder = self.world, f"{self.home}/keys"
        if f"{folder}/{vm}/key" not in world.files:
            yield "the key's draft"
            world.write(f"{folder}/.{vm}.part/key", "key")
            yield "the key"
            world.unlink(f"{folder}/.{vm}.part/key")
            world.write(f"{folder}/{vm}/key", "key")
        yield "known_hosts"
        world.write(f"{self.home}/known_hosts", "known")

    def update_disk(self, disk: Overlay) -> Parts:
        record = f"{disk.vm} {'keep' if disk.keep else 'drop'}"
        if folders.record(self.world, disk.path) != record:
            yield "the record"
            folders.put_record(self.world, disk.path, record)
        yield "the size"
        old = self.world.files.get(disk.path)
        if old is None:
            raise refusal(f"{disk.path}: No such file or directory")
        self.world.files[disk.path] = f"{disk.size} {old.partition(' ')[2]}"

    def delete_file(self, file: Seed | Overlay | FileCopy) -> Parts:
        yield "the file goes"
        self.world.unlink(file.path)
        yield "its mark goes"
        folders.disown(self.world, file.path)

    def delete_disk(self, disk: Overlay) -> Parts:
        if not (disk.keep and disk.path in self.world.written):
            yield from self.delete_file(disk)

    def delete_draft(self, draft: LeftDraft) -> Parts:
        of, place = folders.of_draft(draft.path), draft.path.rsplit("/", 2)[1]
        if draft.path.endswith(".part"):
            yield "the draft goes"
            self.world.unlink(draft.path)
        if folders.may_be_litter(place, of) and of not in self.world.files:
            yield "the mark goes"
            if place == "dhcp":
                self._give_up_server(of)
            elif of not in self.world.files:
                folders.disown(self.world, of)

    def _give_up_server(self, config: str) -> None:
        """Take away the mark of a configuration that has not been made, and what goes with it."""
        world = self.world
        if config in world.files:
            return
        world.unlink(folders.draft_of(config))
        world.unlink(config.removesuffix(".conf") + ".pid")
        lease, network = self._lease(config), dnsmasq.network_of(config.rsplit("/", 1)[-1])
        if network not in self._networks() and folders.is_own(world, lease):
            world.unlink(lease)
            folders.disown(world, lease)
        folders.disown(world, config)

    def delete_node(self, node: LeftNode) -> Parts:
        yield from self._release(int(node.path.removeprefix("/dev/tap")))

    # Guests.

    def create_domain(self, domain: Domain) -> Parts:
        world, log = self.world, domain.console
        taps = self._proved([nic.link for nic in domain.nics])
        yield from folders.own(world, log)
        yield "the old log goes"
        world.unlink(log)
        yield "libvirt's record"
        world.opened(self.plan)  # by now it can be
        if domain.name in world.records:
            raise refusal(f"domain {domain.name} is there already")
        missing = [x.path for x in domain.disks if x.path not in world.files]
        for path in (*missing, *([domain.seed] if domain.seed else [])):
            if path not in world.files:
                raise refusal(f"cannot open {path}")
        nics = tuple(nic.link for nic in domain.nics)
        world.records[domain.name] = Record(domain, 0, nics, starting=True)
        try:
            yield "QEMU"
            disks = tuple(x.path for x in domain.disks)
            pid = world.spawn(Process("qemu", domain.name, taps, disks))
            world.records[domain.name] = Record(domain, pid, nics, starting=True)
            world.files.setdefault(log, "")
            yield "the guest runs"
            if domain.name not in world.records or pid not in world.processes:
                raise refusal("QEMU has ended")
        except VmnetError:
            if record := world.records.pop(domain.name, None):
                world.kill(record.pid)
            raise
        world.records[domain.name] = Record(domain, pid, nics)

    def _proved(self, names: Iterable[str]) -> frozenset[int]:
        found = set()
        for name in names:
            link = self.world.existing(name)
            if self.world.node_of(link) != "right":
                raise refusal(f"/dev/tap{link.index} is not the device of the macvtap {name}")
            minor = self.world.minors[link.index]
            if any(minor in x.taps for x in self.world.processes.values()):
                raise refusal(f"the macvtap {name} is already open")
            found.add(minor)
        return frozenset(found)

    def update_domain(self, domain: Domain) -> Parts:
        world = self.world
        self._there(domain)
        record = self._there(domain)
        dead = {x for x in record.nics if not self._is_open(record, x)}
        for link in sorted((set(record.nics) - {x.link for x in domain.nics}) | dead):
            yield f"{link} is detached"
            record = self._there(domain)
            nics = tuple(x for x in record.nics if x != link)
            world.records[domain.name] = replace(record, nics=nics)
            process, tap = world.processes[record.pid], world.named(link)
            kept = process.taps & {*world.minors.values()}
            process.taps = kept - {world.minors.get(tap.index, 0) if tap else 0}
        coming = [x.link for x in domain.nics if x.link not in world.records[domain.name].nics]
        self._proved(coming)
        for link in coming:
            yield f"{link} is attached"
            record = self._there(domain)
            taps = self._proved([link])
            world.processes[record.pid].taps |= taps
            world.records[domain.name] = replace(record, nics=(*record.nics, link))
        yield "the guest's network"
        self._there(domain)
        yield "the mark"
        world.records[domain.name] = replace(self._there(domain), domain=domain)

    def _is_open(self, record: Record, name: str) -> bool:
        """Return whether a domain's QEMU has the macvtap of this name open."""
        tap = self.world.named(name)
        minor = self.world.minors.get(tap.index) if tap else None
        return minor is not None and minor in self.world.processes[record.pid].taps

    def _there(self, domain: Domain) -> Record:
        record = self.world.records.get(domain.name)
        if record is None or record.pid not in self.world.processes:
            raise refusal(f'VM "{domain.vm}" has ended')
        return record

    def delete_domain(self, domain: Domain) -> Parts:
        world = self.world
        if record := world.records.get(domain.name):
            yield "QEMU ends"
            world.kill(record.pid)
            yield "libvirt forgets it"
            world.records.pop(domain.name, None)
        if folders.is_own(world, domain.console):
            yield "the log goes"
            world.unlink(domain.console)
            yield "its mark goes"
            folders.disown(world, domain.console)

    def delete_half(self, half: HalfStarted) -> Parts:
        if record := self.world.records.get(half.name):
            yield "QEMU ends"
            self.world.kill(record.pid)
            yield "libvirt's record goes"
            self.world.records.pop(half.name, None)

    def delete_stray(self, stray: StrayDomain) -> Parts:
        yield "QEMU ends"
        self.world.kill(stray.pid)


def _nothing(_model: Model, _resource: Resource) -> Parts:
    yield from ()


KINDS: dict[type[Resource], tuple[Callable[[Model, Any], Parts], ...]] = {
    Macvtap: (Model.create_macvtap, Model.update_macvtap, Model.delete_macvtap),
    Switch: (Model.create_switch, Model.update_switch, Model.delete_device),
    Vlan: (Model.create_vlan, Model.update_vlan, Model.delete_device),
    HostAccess: (Model.create_access, Model.update_access, Model.delete_device),
    Guard: (Model.create_rules, Model.update_rules, Model.delete_rules),
    Nat: (Model.create_rules, Model.update_rules, Model.delete_rules),
    Dhcp: (Model.create_dhcp, Model.create_dhcp, Model.delete_dhcp),
    Seed: (Model.create_file, Model.create_file, Model.delete_file),
    Overlay: (Model.create_file, Model.update_disk, Model.delete_disk),
    FileCopy: (Model.create_file, Model.create_file, Model.delete_file),
    Domain: (Model.create_domain, Model.update_domain, Model.delete_domain),
    HalfStarted: (_nothing, _nothing, Model.delete_half),
    StrayDomain: (_nothing, _nothing, Model.delete_stray),
    LeftDraft: (_nothing, _nothing, Model.delete_draft),
    LeftNode: (_nothing, _nothing, Model.delete_node),
    LeftWire: (_nothing, _nothing, _nothing),
    Impaired: (_nothing, _nothing, Model.delete_impaired),
    HostsBlock: (_nothing, _nothing, _nothing),  # one rename: no plan of the stories has one
}
"""Create, update, delete of each kind."""
