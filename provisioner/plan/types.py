"""What the models of a plan are made of: the words they know, and how each value is read."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator

from provisioner.plan import ip, numbers, scalars


class Mode(StrEnum):
    """How the kernel switches frames among macvtaps on one uplink (Linux: if_link.h)."""

    PRIVATE = "private"
    VEPA = "vepa"
    BRIDGE = "bridge"
    PASSTHRU = "passthru"
    SOURCE = "source"


class Accel(StrEnum):
    """Who executes the guest's instructions; auto takes KVM where it works, else TCG."""

    AUTO = "auto"
    KVM = "kvm"
    TCG = "tcg"


class Addressing(StrEnum):
    """Where addresses come from: the plan, DHCP, router advertisements only, or nowhere."""

    STATIC = "static"
    DHCP = "dhcp"
    SLAAC = "slaac"
    NONE = "none"


class SpoofGuard(StrEnum):
    """What a guest is kept from forging: nothing, source MACs, or ARP, IP, DHCP and RA as well."""

    OFF = "off"
    MAC = "mac"
    STRICT = "strict"


class Vhost(StrEnum):
    """Whether the kernel moves a NIC's frames (vhost-net) instead of QEMU; auto: where it can."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Firmware(StrEnum):
    """What starts a guest that boots from its disk."""

    BIOS = "bios"
    UEFI = "uefi"


class MachineType(StrEnum):
    """The machine that QEMU emulates."""

    Q35 = "q35"
    PC = "pc"


class Graphics(StrEnum):
    """Whether a guest has a screen, shown by VNC on 127.0.0.1 alone."""

    NONE = "none"
    VNC = "vnc"


class Cache(StrEnum):
    """How the host caches what a guest writes to a disk (QEMU's words)."""

    NONE = "none"
    WRITEBACK = "writeback"
    WRITETHROUGH = "writethrough"
    UNSAFE = "unsafe"


class DiskFormat(StrEnum):
    """How a disk's bytes are laid out; never guessed from them."""

    QCOW2 = "qcow2"
    RAW = "raw"


class LinkState(StrEnum):
    """Whether a NIC's cable is plugged in."""

    UP = "up"
    DOWN = "down"


def _mode(value: object) -> str:
    return "passthru" if value == "passthrough" else scalars.one_of(value, Mode, "a macvtap mode")


def word(words: type[StrEnum], kind: str) -> BeforeValidator:
    """Read one of a few words; `kind` says what they are."""
    return BeforeValidator(lambda value: scalars.one_of(value, words, kind))


Many = BeforeValidator(scalars.many)
AnyMode = Annotated[Mode, BeforeValidator(_mode)]
Flag = Annotated[bool, BeforeValidator(scalars.flag)]
Allow = Annotated[tuple[Annotated[str, BeforeValidator(scalars.allowed)], ...], Many]
Queues = Annotated[int, BeforeValidator(numbers.queues)]
QueueLength = Annotated[int, BeforeValidator(numbers.txqueuelen)]
AnyGuard = Annotated[SpoofGuard, word(SpoofGuard, "a guard")]
AnyAccel = Annotated[Accel, word(Accel, "an accelerator")]
AnyAddressing = Annotated[Addressing, word(Addressing, "a way of addressing")]
AnyVhost = Annotated[Vhost, word(Vhost, "a choice of vhost")]
Mtu = Annotated[int, BeforeValidator(numbers.mtu)]
OneAddress = Annotated[ip.Address, PlainValidator(ip.address)]
OneInterface = Annotated[ip.Interface, PlainValidator(ip.interface)]
OneSubnet = Annotated[ip.Subnet, PlainValidator(ip.subnet)]
Addresses = Annotated[tuple[OneAddress, ...], Many]
Interfaces = Annotated[tuple[OneInterface, ...], Many]


class Part(BaseModel):
    """A frozen part of a plan that knows its keys and no other."""

    # validators are compiled once, inside the plan's, instead of once more per class
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, populate_by_name=True)
