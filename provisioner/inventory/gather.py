"""From one look at a host to its plans: what belongs to which, and what to none."""

from collections.abc import Iterable, Iterator
from dataclasses import field
from pathlib import PurePath

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.inventory.found import (
    DomainRecord,
    FoundPlan,
    FoundVm,
    Inventory,
    PlanFolder,
    Qemu,
    Reading,
    Server,
    Thing,
)
from provisioner.network import impairment, nft_ruleset, nftables
from provisioner.network.facts import STOPPED, Link
from provisioner.plan.scalars import BadValue, is_vm_name, plan_name

_STOPPED = frozenset({"T", "t"})
_ACTIVE = frozenset({"running", "blocked", "paused", "shutting down", "suspended"})
_SHORT = 20  # characters of a domain's name in the paths of its sockets (virDomainDefGetShortName)
_ALIAS = "vmnet:"
_WIRE_ALIAS = "vmnet:wire"


def gathered(reading: Reading) -> Inventory:
    """Return the plans of a host by name, and what is of no plan, or only looks like vmnet's."""
    host = _Host(reading)
    for folder in reading.folders:
        host.take_folder(folder)
    for domain in reading.domains:
        host.take_domain(domain)
    for qemu in reading.qemus:
        host.take_qemu(qemu)
    for server in reading.servers:
        host.take_server(server)
    for link in reading.links:
        host.take_link(link)
    host.take_unnamed_links()
    host.take_tables()
    host.take_locks()
    plans = tuple(host.plans[name].found(reading) for name in sorted(host.plans))
    return Inventory(plans, tuple(host.strangers), tuple(host.ownerless), reading.troubles)


def is_plan_name(text: str) -> bool:
    """Return whether a text can name a plan."""
    try:
        return plan_name(text) == text
    except BadValue:
        return False


def is_away(namespace: int, here: int) -> bool:
    """Return whether a network namespace is another one than ours; 0 is hidden from us."""
    return 0 not in {namespace, here} and namespace != here


def owner_of(domain: str, uuid: str) -> tuple[str, str] | None:
    """Return the plan and the VM that a domain's name and derived UUID stand for, if they do."""
    for at in (n for n, character in enumerate(domain) if character == "-"):
        plan, vm = domain[:at], domain[at + 1 :]
        if is_plan_name(plan) and is_vm_name(vm) and naming.domain_uuid(plan, vm) == uuid:
            return plan, vm
    return None


@dataclass(slots=True)
class _Plan:
    """What has been found of a plan so far."""

    name: str
    folders: list[PlanFolder] = field(default_factory=list)
    records: dict[str, DomainRecord] = field(default_factory=dict)
    qemus: dict[str, Qemu] = field(default_factory=dict)
    vms: set[str] = field(default_factory=set)
    things: list[Thing] = field(default_factory=list)
    untils: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    serves_elsewhere: bool = False

    def found(self, reading: Reading) -> FoundPlan:
        marks = [folder.mark for folder in self.folders if folder.mark]
        disks = tuple(disk for folder in self.folders for disk in folder.disks)
        names = sorted(
            {*self.vms, *self.records, *self.qemus, *self._stopped}
            | {disk.vm for disk in disks if disk.vm}
        )
        vms = tuple(self._vm(name, reading) for name in names)
        home = [f.mark for f in self.folders if f.mark and f.holds_files]
        ages = [m.made for m in home]
        if not home:
            ages = [*(vm.since for vm in vms), *(thing.made for thing in self.things)]
        # Roots of embedded libvirts come and go; devices tell what a folder that is gone has said.
        untils = [m.until for m in home] or [*(m.until for m in marks), *self.untils]
        return FoundPlan(
            name=self.name,
            made=min(filter(None, ages), default=0),
            # Of two that differ the later one: a plan that is taken away cannot be given back.
            until=max(untils, default=0),
            file=next((m.file for m in marks if m.file), ""),
            connection=next((m.connection for m in marks if m.connection), "")
            or next((r.where for r in self.records.values() if r.where), ""),
            vms=vms,
            disks=disks,
            snapshots=tuple(name for folder in self.folders for name in folder.snapshots),
            things=tuple(self.things),
            holder=dict(reading.locks).get(self.name),
            is_others=bool(self.folders) and all(f.is_others for f in self.folders),
            is_booted=self.name in reading.booted,
            serves_elsewhere=self.serves_elsewhere,
            notes=(*self.notes, *self._notes(vms)),
        )

    def _vm(self, name: str, reading: Reading) -> FoundVm:
        qemu, record = self.qemus.get(name), self.records.get(name)
        if qemu:
            state = record.state if record and record.state in _ACTIVE else "running"
            return FoundVm(
                name,
                f"stopped (state {qemu.state})" if qemu.state in _STOPPED else state,
                qemu.pid,
                qemu.since,
                is_elsewhere=is_away(qemu.namespace, reading.here),
                lives=True,
            )
        if record and record.where:
            return FoundVm(name, record.state, lives=record.state in _ACTIVE)
        if has_socket(naming.domain(self.name, name), reading.sockets):
            return FoundVm(name, "running out of sight", is_elsewhere=True, lives=True)
        if name in self._stopped:
            return FoundVm(name, STOPPED)
        return FoundVm(name, "ended" if record else "off")

    @property
    def _stopped(self) -> set[str]:
        return {vm for folder in self.folders for vm in folder.stopped}

    def _notes(self, vms: Iterable[FoundVm]) -> Iterator[str]:
        for folder in self.folders:
            if folder.trouble:
                yield f"{folder.path}: {folder.trouble}"
        away = next((vm for vm in vms if vm.is_elsewhere), None)
        if away and away.pid:
            yield (
                f"{away.name} runs in another network namespace, whose devices are not seen from "
                f"here: nsenter -n -t {away.pid} vmnet ls"
            )
        elif away:
            yield f"{away.name} runs in another container, whose processes are not seen from here"


@dataclass(slots=True)
class _Host:
    reading: Reading
    plans: dict[str, _Plan] = field(default_factory=dict)
    strangers: list[Thing] = field(default_factory=list)
    ownerless: list[Thing] = field(default_factory=list)
    unnamed: list[Link] = field(default_factory=list)

    def of(self, plan: str) -> _Plan:
        return self.plans.setdefault(plan, _Plan(plan))

    def take_folder(self, folder: PlanFolder) -> None:
        mark, name = folder.mark, PurePath(folder.path).name
        is_named = mark and (not folder.holds_files or name in {mark.plan, f".{mark.plan}.new"})
        if not mark or not is_named or not is_plan_name(mark.plan):
            why = folder.trouble or "it has no mark of a plan's"
            self.strangers.append(Thing("folder", folder.path, why=why))
            return
        plan = self.of(mark.plan)
        plan.folders.append(folder)
        plan.things.append(Thing("folder", folder.path, mark.made))
        for domain in folder.domains:
            if domain.plan == mark.plan and is_vm_name(domain.vm):
                plan.records[domain.vm] = domain
            else:
                plan.notes.append(f"the record of its domain {domain.name} cannot be read")

    def take_domain(self, domain: DomainRecord) -> None:
        if not is_plan_name(domain.plan) or not is_vm_name(domain.vm):
            return
        if domain.name != naming.domain(domain.plan, domain.vm):
            why = f"it has a copy of the mark of the plan {domain.plan}"
            self.strangers.append(Thing("domain", domain.name, why=why))
            return
        plan = self.of(domain.plan)
        plan.records[domain.vm] = domain
        plan.things.append(Thing("domain", domain.name))
        plan.untils += [domain.until] if domain.until else []

    def take_qemu(self, qemu: Qemu) -> None:
        if owner := owner_of(qemu.domain, qemu.uuid):
            self.of(owner[0]).qemus[owner[1]] = qemu
            self.of(owner[0]).things.append(Thing("QEMU", f"{qemu.domain} (pid {qemu.pid})"))

    def take_server(self, server: Server) -> None:
        if not is_plan_name(server.plan):
            return
        plan = self.of(server.plan)
        if is_away(server.namespace, self.reading.here):
            plan.serves_elsewhere = True
            plan.notes.append(
                f"its dnsmasq runs in another network namespace: nsenter -n -t {server.pid} "
                "vmnet ls"
            )
        else:
            plan.things.append(Thing("dnsmasq", f"pid {server.pid}"))

    def take_link(self, link: Link) -> None:
        alias, until = naming.alias_and_expiry(link.alias)
        if link.group == naming.WIRE_GROUP:
            self._take_wire(link)
        elif not naming.is_group(link.group):
            if alias.startswith(_ALIAS):
                self._refuse(link, "it has an alias of vmnet's, and is not in a plan's group")
        elif not naming.are_ours(link.name, link.kind):
            self._refuse(link, "it is in a plan's group, and vmnet gives no such name and kind")
        elif not alias:
            self.unnamed.append(link)
        else:
            self._take_named(link, alias, until)

    def _take_named(self, link: Link, alias: str, until: int) -> None:
        plan, slash, rest = alias.removeprefix(_ALIAS).partition("/")
        is_named = alias.startswith(_ALIAS) and slash and is_plan_name(plan)
        if not is_named or naming.group(plan) != link.group:
            self._refuse(link, "its alias is not of the plan whose group it is in")
            return
        self._take_device(plan, link)
        self.of(plan).untils += [until] if until else []
        vm, slash, _ = rest.rpartition("/")
        if slash and is_vm_name(vm):
            self.of(plan).vms.add(vm)

    def _refuse(self, link: Link, why: str) -> None:
        self.strangers.append(Thing("device", link.name, why=why))

    def take_unnamed_links(self) -> None:
        """Give devices that were just made to the plan whose group it is, where that is known."""
        groups = {naming.group(name): name for name in self.plans}
        for link in self.unnamed:
            if plan := groups.get(link.group):
                self._take_device(plan, link)
            else:
                self._refuse(link, "of which plan it is does not show")

    def _take_device(self, plan: str, link: Link) -> None:
        made = dict(self.reading.nodes).get(link.name, 0)
        self.of(plan).things.append(Thing(link.kind, link.name, made))

    def take_locks(self) -> None:
        for path in self.reading.free_locks:
            if PurePath(path).stem not in self.plans:
                self.ownerless.append(Thing("lock", path))

    def _take_wire(self, link: Link) -> None:
        is_one = naming.is_wire(link.name, link.kind) and link.alias in {_WIRE_ALIAS, ""}
        if not is_one:
            self._refuse(link, "it is in the group of vmnet's wires, and is none")
        elif link.name.startswith(naming.WIRE_END):
            tail = link.name.removeprefix(naming.WIRE_END)
            if f"@vmnet-wire-{tail}" not in self.reading.sockets:
                self.ownerless.append(Thing("wire", link.name))

    def take_tables(self) -> None:
        here = {link.name for link in self.reading.links}
        for table in self.reading.tables.tables:
            if table.name.startswith(impairment.PREFIX):
                device = table.name.removeprefix(impairment.PREFIX)
                if nft_ruleset.is_marked(table) and device not in here:
                    self.ownerless.append(Thing("impairment", device))
            elif nftables.is_named_as_ours(table.name):
                plan = table.name.removeprefix("vmnet_").partition("_")[0]
                if nft_ruleset.is_marked(table) and is_plan_name(plan):
                    self.of(plan).things.append(Thing("nftables", table.name))
                else:
                    why = "it has a name of vmnet's, but vmnet did not make it"
                    self.strangers.append(
                        Thing("nftables table", f"{table.family} {table.name}", why=why)
                    )


def has_socket(domain: str, sockets: frozenset[str]) -> bool:
    """Return whether the socket of a domain's monitor or agent is in this network namespace.

    That shows a QEMU in another PID namespace, too.
    """
    end = f"-{domain[:_SHORT]}"
    return any(
        part.startswith("domain-") and part.endswith(end)
        for path in sockets
        if "/domain-" in path
        for part in path.split("/")
    )
