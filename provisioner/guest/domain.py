"""What a plan's guests are made of on a host: their images, disks, seeds and domains."""

from dataclasses import dataclass, field

from provisioner.image.traits import FirmwareName, ImageTraits

MICRO = "micro"
"""The image that boots from memory, and gets its network on the kernel's command line."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A NoCloud seed image; its path holds a digest of its content, so a name never lies.

    The content never shows in a repr: it holds secrets.
    """

    path: str
    files: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
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
class Overlay:
    """A qcow2 file that is a guest's: laid over an image, or empty."""

    path: str
    size: int  # of the disk that the guest sees, in bytes
    backing: str = ""  # the image's file; "" for none
    backing_format: str = ""


@dataclass(frozen=True, slots=True)
class FileCopy:
    """A file that QEMU gets a copy of: its user could not read the original, or may write to it.

    The path of what QEMU only reads holds a digest of its content, so a name never lies.
    """

    path: str
    source: str = field(default="", compare=False)
    digest: str = field(default="", compare=False)  # SHA-256 that the copy must have; "": any


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


@dataclass(frozen=True, slots=True)
class Domain:
    """A libvirt domain as vmnet wants it; the same value is kept in the domain's metadata."""

    name: str
    uuid: str
    plan: str
    vm: str
    memory_mib: int
    cpus: int
    accel: str  # "kvm" or "tcg", chosen
    kernel: str
    initrd: str
    cmdline: str
    console: str  # path of the console log
    nics: tuple[DomainNic, ...]
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


NAMESPACE = "urn:vmnet:domain:1"


EMULATOR = "/usr/bin/qemu-system-x86_64"


GuestResource = Seed | Overlay | FileCopy | Domain
