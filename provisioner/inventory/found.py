"""What is read of a host about all of its plans, and what a plan is found to have."""

from collections.abc import Collection
from dataclasses import field

from provisioner.dataclass import dataclass
from provisioner.inventory.plan_mark import PlanMark
from provisioner.network.facts import Link
from provisioner.network.nft_ruleset import Listing


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A disk that a guest of a plan writes to."""

    path: str
    vm: str
    size: int  # bytes that it takes on the host
    keep: bool = True  # `down` leaves it


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """A domain as a libvirt has it: of a daemon, or in the files of an embedded one."""

    name: str
    state: str
    plan: str  # as its metadata says
    vm: str
    pid: int = 0
    until: int = 0
    where: str = ""  # the connection; "" for an embedded libvirt


@dataclass(frozen=True, slots=True)
class PlanFolder:
    """A folder in one of vmnet's places that is, or could be, a plan's."""

    path: str
    holds_files: bool  # of guests; else it is the root of an embedded libvirt
    mark: PlanMark | None = None
    disks: tuple[DiskFile, ...] = ()
    snapshots: tuple[str, ...] = ()
    domains: tuple[DomainRecord, ...] = ()
    stopped: tuple[str, ...] = ()  # the VMs that vmnet stop has ended, to be started again
    trouble: str = ""  # why it cannot be read
    is_others: bool = False  # another user's


@dataclass(frozen=True, slots=True)
class Qemu:
    """A QEMU that libvirt has started: what its command line says of itself."""

    pid: int
    domain: str
    uuid: str
    state: str  # of the process, as proc(5) has it
    since: int = 0
    namespace: int = 0  # of its network; 0 where that is hidden from us


@dataclass(frozen=True, slots=True)
class Server:
    """A dnsmasq with a configuration in a plan's folder."""

    pid: int
    config: str
    plan: str
    namespace: int = 0


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The command that holds a plan's lock, as far as its file says."""

    pid: int = 0
    doing: str = "another vmnet command"
    since: str = ""

    def __str__(self) -> str:
        """Return who works on the plan."""
        who = [f"pid {self.pid}"] if self.pid else []
        since = [f"since {self.since}"] if self.since else []
        return f"{self.doing} ({', '.join([*who, *since])})" if who or since else self.doing


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a host."""

    now: int  # seconds since 1970
    here: int = 0  # this network namespace
    folders: tuple[PlanFolder, ...] = ()
    domains: tuple[DomainRecord, ...] = ()  # of daemons
    qemus: tuple[Qemu, ...] = ()
    servers: tuple[Server, ...] = ()
    links: tuple[Link, ...] = ()
    tables: Listing = field(default_factory=Listing)
    sockets: frozenset[str] = frozenset()  # the paths of this network namespace's Unix sockets
    locks: tuple[tuple[str, LockHolder], ...] = ()
    free_locks: tuple[str, ...] = ()  # files of locks that nobody holds
    nodes: tuple[tuple[str, int], ...] = ()  # since when a macvtap's node is there, by its name
    booted: frozenset[str] = frozenset()  # plans that come up when the host is started
    troubles: tuple[str, ...] = ()  # what could not be read


@dataclass(frozen=True, slots=True)
class FoundVm:
    """A VM of a plan."""

    name: str
    state: str
    pid: int = 0
    since: int = 0
    is_elsewhere: bool = False  # in another network namespace, or out of sight
    lives: bool = False  # a QEMU of it is there, whatever its guest does


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing on the host that bears marks of vmnet's: of a plan, or of nobody's."""

    kind: str
    name: str
    made: int = 0
    why: str = ""  # it is left alone

    def __str__(self) -> str:
        """Return what people call it."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class FoundPlan:
    """All that is found of one plan."""

    name: str
    made: int = 0  # the oldest time that is known of it
    until: int = 0
    file: str = ""
    connection: str = ""
    vms: tuple[FoundVm, ...] = ()
    disks: tuple[DiskFile, ...] = ()
    snapshots: tuple[str, ...] = ()
    things: tuple[Thing, ...] = ()  # devices, tables, servers, folders
    holder: LockHolder | None = None
    is_others: bool = False  # another user's
    is_booted: bool = False  # it comes up when the host is started
    serves_elsewhere: bool = False  # a dnsmasq of it runs in another network namespace
    notes: tuple[str, ...] = ()

    @property
    def is_elsewhere(self) -> bool:
        """Whether a part of it runs where it cannot be reached from here."""
        return self.serves_elsewhere or any(vm.is_elsewhere for vm in self.vms)

    @property
    def size(self) -> int:
        """How many bytes its disks take."""
        return sum(disk.size for disk in self.disks)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All plans of a host, and what looks like vmnet's and is not."""

    plans: tuple[FoundPlan, ...]
    strangers: tuple[Thing, ...] = ()
    ownerless: tuple[Thing, ...] = ()  # vmnet's, and of no plan in particular
    troubles: tuple[str, ...] = ()

    def only(self, names: Collection[str]) -> "Inventory":
        """Return the plans of these names and nothing else; everything when there is no name."""
        if not names:
            return self
        return Inventory(tuple(plan for plan in self.plans if plan.name in names))
