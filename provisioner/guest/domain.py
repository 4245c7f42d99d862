"""The kinds of resources that a plan's guests consist of on a host, and what killed runs leave.

What a kind needs, follows, changes while it exists, and how differences read: see `Resource`.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field, fields, replace
from typing import ClassVar, Final, Self

from provisioner.dataclass import dataclass
from provisioner.guest import network_config
from provisioner.image.traits import FirmwareName, ImageTraits
from provisioner.network.resources import Dhcp, Guard, Macvtap, Nat
from provisioner.pattern import pattern
from provisioner.resource import Key, Leftover, Resource, Text, changed, plain
from provisioner.text import one_line

_DIGEST = pattern(r"-[0-9a-f]{8,}(?=(\.iso)?$)")

RUNNING: Final = "running"
CUT_OFF: Final = "cut off"
"""The state of a guest that is started anew instead of being given its NICs again."""

MICRO = "micro"
"""The image that boots from memory, and gets its network on the kernel's command line."""


@dataclass(frozen=True, slots=True)
class GuestFile(Resource):
    """A file in the plan's folder that QEMU opens by itself."""

    ID: ClassVar[str] = "path"

    path: str

    @property
    def label(self) -> str:
        """Name the file without its folder and the digest of its content."""
        return f"{self.KIND} {_DIGEST.sub('', _base(self.path))}"

    def excludes(self, other: Resource) -> bool:
        """Return whether `other` may be the draft that this one would be written to."""
        return isinstance(other, LeftDraft)


_OF_SWITCHES = frozenset({Nat.KIND, Dhcp.KIND})


@dataclass(frozen=True, slots=True)
class Seed(GuestFile):
    """A NoCloud seed image; its path holds a digest of its content, so a name never lies.

    The content never shows in a repr: it holds secrets.
    """

    KIND: ClassVar[str] = "seed"

    files: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    plan: str = field(default="", compare=False)
    vm: str = field(default="", compare=False)
    host_key: str = field(default="", compare=False)  # how it takes one: guest.host_key


@dataclass(frozen=True, slots=True)
class Image(ImageTraits):
    """What a guest boots: a kernel and an initrd, a disk, or both; by default micro's."""

    min_memory_mib: int = 0
    boot: tuple[FirmwareName, ...] = ()
    agent: bool = True
    cloud_init: bool = False  # micro has its network on the command line
    name: str = MICRO  # what the plan calls it
    disk: str = ""  # path of the file that guests' disks are laid over; "" for none
    format: str = "qcow2"  # of that file, as it was recorded when it was taken in
    size: int = 0  # of that disk, in bytes


@dataclass(frozen=True, slots=True)
class Overlay(GuestFile):
    """A qcow2 file that is a guest's: laid over an image, or empty."""

    KIND: ClassVar[str] = "disk"
    LIVE: ClassVar[frozenset[str]] = frozenset({"size", "keep"})
    TEXTS: ClassVar[Mapping[str, Text]] = {
        "size": lambda want, have: f"size is {have >> 20} MiB, want {want >> 20} MiB",
        "backing": "it lies over another image",
        "keep": lambda want, _: f"down {'keeps' if want else 'removes'} it from now on",
    }

    size: int  # of the disk that the guest sees, in bytes
    backing: str = ""  # the image's file; "" for none
    backing_format: str = ""
    keep: bool = True
    plan: str = field(default="", compare=False)
    vm: str = field(default="", compare=False)
    image: str = field(default="", compare=False)  # what the plan called the image below it
    is_written: bool = field(default=False, compare=False)  # a guest has written to it
    taken: int = field(default=0, compare=False)  # bytes of the host's disk

    @property
    def stays(self) -> bool:
        """Whether a guest has written what is to be kept."""
        return self.keep and self.is_written

    def can_become(self, want: Self, changed: AbstractSet[str]) -> bool:
        """Return whether it only grows: a guest that got less would lose what is beyond."""
        return changed <= self.LIVE and self.size <= want.size


@dataclass(frozen=True, slots=True)
class FileCopy(GuestFile):
    """A file that QEMU gets a copy of: its user could not read the original, or may write to it.

    The path of what QEMU only reads holds a digest of its content, so a name never lies.
    """

    KIND: ClassVar[str] = "copy"

    source: str = field(default="", compare=False)
    digest: str = field(default="", compare=False)  # SHA-256 that the copy must have; "": any
    keep: bool = field(default=False, compare=False)  # UEFI's variables of a disk that stays

    @property
    def stays(self) -> bool:
        """Whether it belongs to a disk that stays."""
        return self.keep


@dataclass(frozen=True, slots=True)
class DomainDisk:
    """One disk of a domain. Its format is given, and its image's: nothing is ever probed."""

    path: str
    format: str
    backing: str = ""
    backing_format: str = ""
    cache: str = ""  # "" for QEMU's own choice
    discard: bool = True
    readonly: bool = False
    kind: str = "file"  # or "block"


@dataclass(frozen=True, slots=True)
class DomainNic:
    """One NIC of a domain, on the macvtap `link`."""

    link: str
    mac: str
    mtu: int
    queues: int = 1
    vhost: bool = False
    granted: bool = False  # the device is root's work, not this plan's
    is_dead: bool = False  # nothing is behind it any more: its device was deleted under it
    is_absent: bool = False  # the domain, which was started with it, has it no more

    @property
    def is_fit(self) -> bool:
        """Whether the guest has it, and its device is behind it."""
        return not (self.is_dead or self.is_absent)


def _image(want: Image, have: Image) -> str:
    if want.name == have.name:
        return "image has changed"
    return f"image is {one_line(have.name)}, want {one_line(want.name)}"


def _nics(want: tuple[DomainNic, ...], have: tuple[DomainNic, ...]) -> str:
    """Return which NICs come, go, and are other ones than before."""
    now, then = ({nic.link: nic for nic in nics} for nics in (have, want))
    different = [
        f"{name} of {link} is {plain(getattr(now[link], name))}, want {plain(getattr(nic, name))}"
        for link, nic in then.items()
        if link in now
        for name in ("mac", "mtu", "queues", "vhost")
        if getattr(now[link], name) != getattr(nic, name)
    ]
    different += [f"its NIC {link} has lost its device" for link, nic in now.items() if nic.is_dead]
    come = [f"it has no NIC {x}" for x in then if x not in now or now[x].is_absent]
    gone = [f"its NIC {link} is not in the plan" for link in now if link not in then]
    return ", ".join([*different, *come, *gone]) or "its NICs are in another order"


def _disks(want: tuple[DomainDisk, ...], have: tuple[DomainDisk, ...]) -> str:
    """Return which disks come, go, and are attached otherwise."""
    now, then = ({disk.path: disk for disk in disks} for disks in (have, want))
    come = [f"it has no disk {_base(path)}" for path in then if path not in now]
    gone = [f"its disk {_base(path)} is not in the plan" for path in now if path not in then]
    other = [
        f"{f.name.replace('_', ' ')} of its disk {_base(path)} has changed"
        for path, disk in then.items()
        if path in now
        for f in fields(disk)
        if getattr(disk, f.name) != getattr(now[path], f.name)
    ]
    return ", ".join([*other, *come, *gone]) or "its disks are in another order"


def _base(path: str) -> str:
    return one_line(path.rsplit("/", 1)[-1])


@dataclass(frozen=True, slots=True)
class Domain(Resource):
    """A libvirt domain as vmnet wants it; the same value is kept in the domain's metadata."""

    KIND: ClassVar[str] = "domain"
    LIVE: ClassVar[frozenset[str]] = frozenset({"nics", "network", "state", "is_persistent"})
    FOUND: ClassVar[frozenset[str]] = frozenset({"state", "is_persistent"})
    """The fields that are seen of it while it runs, and do not stand in its mark."""
    IS_GUEST: ClassVar[bool] = True
    TEXTS: ClassVar[Mapping[str, Text]] = {
        **changed("cmdline", "initrd", "kernel", "ignition", "template"),
        "user": "user-data has changed",
        "network": network_config.difference,
        "nics": _nics,
        "disks": _disks,
        "image": _image,
        "state": lambda _, have: f"it is {have}",
        "is_persistent": lambda want, _: (
            "it is not defined in libvirt" if want else "it has been defined in libvirt"
        ),
    }

    name: str
    uuid: str
    plan: str
    vm: str
    memory_mib: int
    cpus: int
    accel: str  # "kvm" or "tcg", chosen
    console: str  # path of the console log
    nics: tuple[DomainNic, ...]
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    network: str = ""  # the network-config v2 that the guest was last given
    user: str = ""  # a fingerprint of its user-data, which holds secrets
    seed: str | None = None
    image: Image = Image()  # as it was when the guest was started
    disks: tuple[DomainDisk, ...] = ()
    machine: str = "q35"
    cpu_model: str = ""  # "" for what suits the accelerator and the image
    firmware: str = ""  # "uefi"; "" for the machine's BIOS
    loader: str = ""  # UEFI's code
    nvram: str = ""  # and its variables, the guest's own
    graphics: str = "none"
    ignition: str = ""  # path of what Ignition reads
    template: str = ""  # digest of the user's own template; "" for vmnet's
    login: str = "root"  # who logs in by ssh
    state: str = RUNNING  # with its cause: guest.domain_state
    uid: int = 0  # of the user whom its QEMU runs as; 0 for the one that libvirt has for all
    gid: int = 0
    is_persistent: bool = False  # libvirt keeps a definition of it
    home: str = field(default="", compare=False)  # the folder of the plan's files

    @property
    def can_write(self) -> bool:
        """Whether it has a disk that it may have written to, and must be let shut down."""
        return any(not disk.readonly for disk in self.disks)

    @property
    def has_ended(self) -> bool:
        """Whether its guest runs no more, though its QEMU may be left."""
        return self.state in _ENDED

    @property
    def possible_cpus(self) -> int:
        """How many vCPUs the machine has room for: under TCG two at least.

        For a machine that can never have more than one vCPU, TCG leaves out the guest's memory
        barriers, locked instructions and (before QEMU 8.1) mfence alike (accel/tcg: CF_PARALLEL,
        set when max_cpus > 1). QEMU's own thread runs beside the vCPU all the same, so a
        virtio queue can lose its kick, and a NIC's transmit queue then stops for good.
        """
        return max(self.cpus, 1 if self.accel == "kvm" else 2)

    def needs(self) -> tuple[Key, ...]:
        """Return its macvtaps and files, but for those that are not the plan's."""
        read = (self.kernel, self.initrd, self.nvram, self.ignition)
        return (
            *((Macvtap.KIND, nic.link) for nic in self.nics if not nic.granted),
            *(
                (Overlay.KIND, x.path)
                for x in self.disks
                if x.path.startswith(f"{self.home}/disk/")
            ),
            *((FileCopy.KIND, path) for path in read if path.startswith(f"{self.home}/boot/")),
            *([(Seed.KIND, self.seed)] if self.seed else []),
        )

    def still_needs(self, want: Resource | None) -> tuple[Key, ...]:
        """Return what it needs but for NICs that can be taken away, or plugged in anew."""
        if want is None:
            return self.needs()
        unfit = {(Macvtap.KIND, nic.link) for nic in self.nics if not nic.is_fit}
        kept = {*want.needs()} - (set() if self.state == CUT_OFF else unfit)
        return tuple(k for k in self.needs() if k in kept)

    def follows(self, others: Mapping[Key, Resource]) -> tuple[Key, ...]:
        """Return the guards of its NICs, and what serves or isolates the plan's switches."""
        links = {nic.link for nic in self.nics}
        return tuple(
            k  # by their kinds: each domain of a plan looks at all that the plan has
            for k, r in others.items()
            if (kind := k[0]) in _OF_SWITCHES
            or (kind == Guard.KIND and isinstance(r, Guard) and r.device in links)
        )

    def can_become(self, want: Self, changed: AbstractSet[str]) -> bool:
        """Return whether whole NICs come and go, and each that stays is as it was.

        One whose device was deleted is plugged in anew.
        """
        before = {nic.link: replace(nic, is_dead=False, is_absent=False) for nic in self.nics}
        return (
            changed <= self.LIVE
            and not self.has_ended
            and self.state != CUT_OFF
            and all(before.get(nic.link, nic) == nic for nic in want.nics)
        )


@dataclass(frozen=True, slots=True)
class HalfStarted(Leftover):
    """A domain that a killed vmnet was just starting; its guest has never run.

    libvirt would wait 30 s for it on open, and meanwhile answer nothing about it.
    """

    KIND: ClassVar[str] = "half-started domain"
    GOES_FIRST: ClassVar[bool] = True

    name: str
    record: str = field(default="", compare=False)  # path of libvirt's status file


@dataclass(frozen=True, slots=True)
class StrayDomain(Leftover):
    """A guest whose QEMU runs, and which libvirt does not know any more."""

    KIND: ClassVar[str] = "stray domain"
    ID: ClassVar[str] = "pid"
    GOES_FIRST: ClassVar[bool] = True
    UNWANTED: ClassVar[str] = "its QEMU runs, and libvirt has lost it"

    pid: int
    plan: str = field(default="", compare=False)
    vm: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """Name the domain and its process."""
        return f"{self.KIND} {self.plan}-{self.vm} (process {self.pid})"


@dataclass(frozen=True, slots=True)
class LeftDraft(Leftover):
    """A file that a killed vmnet had not written to its end, or the mark of one."""

    KIND: ClassVar[str] = "draft"
    ID: ClassVar[str] = "path"
    GOES_FIRST: ClassVar[bool] = True

    path: str

    @property
    def label(self) -> str:
        """Name the file without its folder."""
        return f"{self.KIND} {_base(self.path)}"


NAMESPACE = "urn:vmnet:domain:1"

_ENDED: Final = frozenset({"shutting down", "shut off", "crashed"})


EMULATOR = "/usr/bin/qemu-system-x86_64"


GuestResource = Seed | Overlay | FileCopy | Domain | HalfStarted | StrayDomain | LeftDraft
