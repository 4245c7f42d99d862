"""A model of a host, as far as vmnet changes it: links, rules, files, processes, libvirt's records.

Each method is one thing that the kernel, libvirt or a program does whole or not at all. Who made a
thing is kept beside it, which no host knows: whoever touches what is a stranger's is found out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import Domain
from provisioner.network import nft_ruleset
from provisioner.network.facts import Link, Route
from provisioner.network.nft_ruleset import Table
from provisioner.network.nftables import Chain

STATE, RUN = "/state", "/run"
UPLINK = "up0"
_UPPER = frozenset({"macvtap", "macvlan", "vlan"})
_ON_ONE_MAC = frozenset({"macvtap", "macvlan"})
Thing = tuple[str, Any]
"""What somebody has made: "link" and its ifindex, "table" and its name, "file" and its path."""


class Broken(AssertionError):  # noqa: N818  (a law is)
    """A law does not hold."""


def refusal(what: str) -> VmnetError:
    """Return what the kernel, libvirt or a disk says no with."""
    return VmnetError(what, fix="try again", status=Exit.HOST_CANNOT)


@dataclass(slots=True)
class Process:
    """A QEMU or a dnsmasq: `name` is its domain's, or the path of its configuration."""

    kind: str
    name: str
    taps: frozenset[int] = frozenset()  # by their numbers, which no other macvtap gets
    disks: tuple[str, ...] = ()
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What libvirt has written down of a domain: its mark, and what it is made of."""

    domain: Domain
    pid: int
    nics: tuple[str, ...]
    starting: bool = False


@dataclass(slots=True)
class World:
    """The host."""

    devtmpfs: bool = True  # the kernel makes the nodes of macvtaps, not vmnet
    links: dict[int, Link] = field(default_factory=dict)
    minors: dict[int, int] = field(default_factory=dict)  # of macvtaps, by ifindex
    nodes: dict[int, int] = field(default_factory=dict)  # /dev/tapN: N to the number it has
    sized: set[int] = field(default_factory=set)  # bridges whose MTU somebody has chosen
    routes: list[Route] = field(default_factory=list)
    arp_ignored: set[int] = field(default_factory=set)
    tables: dict[tuple[str, str], Table] = field(default_factory=dict)
    forwarding: dict[int, int] = field(default_factory=lambda: {4: 0, 6: 0})
    files: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    processes: dict[int, Process] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)  # by the domain's name
    written: dict[str, int] = field(default_factory=dict)  # by guests, per disk
    is_full: bool = False
    foreign: set[Thing] = field(default_factory=set)
    renamed: set[Thing] = field(default_factory=set)  # theirs, for the next command
    actor: str = "stranger"
    may_lose: bool = False  # what guests have written and is to be kept
    acts: int = 0  # of strangers
    noted: dict[str, dict[int, int]] = field(default_factory=dict)  # what it was, by plan
    _last: int = 100  # number that was given to a process, a link or a node

    @contextmanager
    def by_vmnet(self) -> Iterator[None]:
        """Let vmnet act."""
        self.actor = "vmnet"
        try:
            yield
        finally:
            self.actor = "stranger"

    def number(self) -> int:
        """Return a number that nothing has had."""
        self._last += 1
        return self._last

    def _made(self, *thing: Any) -> None:  # noqa: ANN401  (a kind and what names it)
        if self.actor == "stranger":
            self.foreign.add((thing[0], thing[1]))

    def _touched(self, *thing: Any) -> None:  # noqa: ANN401
        if self.actor == "vmnet" and (thing[0], thing[1]) in self.foreign:
            raise Broken(f"vmnet touched a stranger's {thing[0]} {thing[1]}")

    # Links.

    def named(self, name: str) -> Link | None:
        """Return the link of that name, None when there is none."""
        found = (x for x in self.links.values() if name in (x.name, x.altname))
        return next(found, None) if name else None

    def existing(self, name: str) -> Link:
        """Return the link of that name. Raises VmnetError when there is none."""
        if found := self.named(name):
            return found
        raise refusal(f'there is no network device "{name}"')

    def add_link(self, link: Link) -> None:  # noqa: C901  (what the kernel refuses)
        """Make a link. Raises FileExistsError for a name or a number that is taken, VmnetError."""
        if self.named(link.name) or link.index in self.links:
            raise FileExistsError(link.name)
        if link.kind in _UPPER:
            if link.lower not in self.links:
                raise refusal("the uplink went away meanwhile")
            if link.mtu > self.links[link.lower].mtu:
                raise refusal("the kernel says Invalid argument")
            beside = [x for x in self.links.values() if x.lower == link.lower and x.kind in _UPPER]
            rivals = [x for x in beside if x.kind in _ON_ONE_MAC]
            if link.kind in _ON_ONE_MAC and (
                any(x.mode == "passthru" for x in rivals) or (link.mode == "passthru" and rivals)
            ):
                raise refusal("the kernel refuses this combination")
            if link.kind in _ON_ONE_MAC and any(x.mac == link.mac for x in rivals):
                raise refusal("another device on this uplink has the same MAC")
            if any((x.kind, x.vid) == ("vlan", link.vid) for x in beside if link.kind == "vlan"):
                raise refusal("the uplink has a device for this VLAN already")
        if link.altname and self.named(link.altname):
            link = replace(link, altname="")  # the message behind the creating one is refused
        self.links[link.index] = link
        self._made("link", link.index)
        if link.kind == "macvtap":
            self.minors[link.index] = self.number()
            if self.devtmpfs:
                self.nodes[link.index] = self.minors[link.index]

    def set_link(self, index: int, **changes: Any) -> None:  # noqa: ANN401
        """Change a link. Raises VmnetError when it has gone."""
        if index not in self.links:
            raise refusal("no such device")
        self._touched("link", index)
        link = replace(self.links[index], **changes)
        under = self.links.get(link.lower)
        if "mtu" in changes and link.kind in _UPPER and under and under.mtu < link.mtu:
            raise refusal("the kernel says Invalid argument")
        if link.kind == "bridge" and link.mtu != self.links[index].mtu:
            self.sized.add(index)
        self.links[index] = link
        if not link.up:
            self.routes = [x for x in self.routes if x.device != link.name]
        self._follow(link)

    def _follow(self, under: Link) -> None:
        """Make what sits on a link no larger than it is."""
        for upper in list(self.links.values()):
            if upper.lower == under.index and upper.kind in _UPPER and upper.mtu > under.mtu:
                self.links[upper.index] = smaller = replace(upper, mtu=under.mtu)
                self._follow(smaller)

    def delete_link(self, index: int, *, cascades: bool = False) -> None:
        """Delete a link with whatever sits on it, and the other end of a pair."""
        link = self.links.pop(index, None)
        if link is None:
            return
        if not cascades:
            self._touched("link", index)
        bridge = self.links.get(link.master)
        if bridge and bridge.kind == "bridge" and bridge.index not in self.sized:
            self.links[bridge.index] = replace(bridge, mtu=1500)  # it has no port any more
        self.foreign.discard(("link", index))
        self.renamed.discard(("link", index))
        self.arp_ignored.discard(index)
        self.sized.discard(index)
        self.routes = [x for x in self.routes if x.device != link.name]
        if self.minors.pop(index, None) and self.devtmpfs:
            self.nodes.pop(index, None)
        for other in list(self.links.values()):
            if other.master == index:
                self.links[other.index] = replace(other, master=0, hairpin=False)
            if other.lower == index or (link.kind == "veth" and other.index == link.lower):
                self.delete_link(other.index, cascades=True)

    def node_of(self, link: Link) -> str:
        """Return whether a macvtap's node is right, missing or another device's."""
        if link.index not in self.nodes:
            return "missing"
        return "right" if self.nodes[link.index] == self.minors[link.index] else "foreign"

    # Rules.

    def put_table(self, family: str, name: str, text: str, *, anew: bool) -> None:
        """Make a table from its script; replace vmnet's, or refuse where one is there."""
        if (family, name) in self.tables:
            if anew or ("table", (family, name)) in self.foreign:
                raise nft_ruleset.taken(family, name, "rename the plan")
            self._touched("table", (family, name))
        self.tables[family, name] = parsed(text)
        self._made("table", (family, name))

    def delete_table(self, family: str, name: str) -> None:
        """Delete a table; one that has gone already is fine."""
        if self.tables.pop((family, name), None):
            self._touched("table", (family, name))
            self.foreign.discard(("table", (family, name)))

    # Files.

    def exists(self, path: str) -> bool:
        """Return whether a file or a folder is there."""
        return (
            path in self.files
            or path in self.folders
            or any(x.startswith(f"{path}/") for x in self.files)
        )

    def below(self, folder: str) -> list[str]:
        """List the files in a folder and in those in it."""
        return sorted(x for x in self.files if x.startswith(f"{folder}/"))

    def write(self, path: str, text: str) -> None:
        """Write a file. Raises VmnetError, after which it is there and empty, on a full disk."""
        if path in self.files:
            self._touched("file", path)
        else:
            self._made("file", path)
        self.files[path] = ""
        if text and self.is_full and self.actor == "vmnet":
            raise refusal(f"cannot write {path}: No space left on device")
        self.files[path] = text

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of what has that name."""
        if old not in self.files:
            raise refusal(f"cannot write {new}: No such file or directory")
        self._forget(new)
        self.files[new] = self.files.pop(old)

    def unlink(self, path: str) -> None:
        """Delete a file; one that has gone already is fine."""
        self._forget(path)
        self.files.pop(path, None)

    def _forget(self, path: str) -> None:
        if path not in self.files:
            return
        self._touched("file", path)
        self.foreign.discard(("file", path))
        if any(path in x.disks for x in self.processes.values()):
            raise Broken(f"{path} was taken away under a running guest")
        folder, name = path.rsplit("/", 1)
        keep = self.files.get(f"{folder}/.{name}.own", "").endswith("keep")
        if self.written.pop(path, 0) and keep and self.actor == "vmnet" and not self.may_lose:
            raise Broken(f"what a guest has written to {path} is lost")

    # Processes and libvirt.

    def spawn(self, process: Process) -> int:
        """Start a process; return its number."""
        pid = self.number()
        self.processes[pid] = process
        self._made("process", pid)
        return pid

    def kill(self, pid: int) -> None:
        """End a process; one that has ended already is fine."""
        if self.processes.pop(pid, None):
            self._touched("process", pid)

    def opened(self, plan: str) -> None:
        """Let libvirt be opened: it forgets the domains whose QEMU has ended."""
        for name, record in list(self.records.items()):
            dead = record.pid not in self.processes
            if record.domain.plan == plan and dead and not record.starting:
                del self.records[name]

    def guests_write(self) -> None:
        """Let every guest that runs write to its disks."""
        for process in self.processes.values():
            for disk in process.disks:
                if disk in self.files:
                    self.written[disk] = self.written.get(disk, 0) + 1

    def reboot(self) -> None:
        """Start the host anew: what is not on its disk, or its hardware, has gone."""
        self.processes.clear()
        self.records.clear()
        self.tables.clear()
        self.forwarding = {4: 0, 6: 0}
        self.noted.clear()
        for link in list(self.links.values()):
            if link.kind and link.name != UPLINK:
                self.delete_link(link.index)
        self.nodes.clear()
        for path in self.below(RUN):
            del self.files[path]
        self.folders = {x for x in self.folders if not x.startswith(RUN)}
        self.foreign = {x for x in self.foreign if x[0] == "file" and x[1] in self.files}
        self.foreign |= {("link", x) for x in self.links}


@lru_cache(4096)
def parsed(text: str) -> Table:
    """Return the table that a script of vmnet's makes, as nft shows it."""
    lines = text.replace("    ", "\t\t").replace("\n  ", "\n\t").splitlines()
    whole = "\n".join(lines[: lines.index("}") + 1])
    (table,) = nft_ruleset.parse(whole)
    record = [x.rpartition(" return ")[2] for x in lines if x.startswith("add rule ")]
    if record:
        chain = Chain("record", None, tuple(f"return {x}" for x in record))
        table = replace(table, chains=(*table.chains, chain))
    return table
