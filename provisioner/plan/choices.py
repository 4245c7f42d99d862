"""The fixed choices of a plan: modes, accelerators, formats …, as the file spells them."""

from enum import StrEnum


class Mode(StrEnum):
    """How the kernel switches frames among macvtaps on one uplink (Linux: if_link.h)."""

    PRIVATE = "private"
    VEPA = "vepa"
    BRIDGE = "bridge"
    PASSTHRU = "passthru"
    SOURCE = "source"

    @property
    def is_exclusive(self) -> bool:
        """Whether one macvtap has the uplink for itself (macvlan.c: EINVAL beside another)."""
        return self is Mode.PASSTHRU

    @property
    def takes_uplink_mac(self) -> bool:
        """Whether the macvtap has the MAC of its uplink: the kernel ignores any other."""
        return self is Mode.PASSTHRU

    @property
    def has_source_list(self) -> bool:
        """Whether the macvtap receives only from the MACs of a list."""
        return self is Mode.SOURCE

    @property
    def reaches_host_access(self) -> bool:
        """Whether frames pass between the macvtap and the host's macvlan on the same uplink."""
        return self is Mode.BRIDGE


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


class Strategy(StrEnum):
    """How VMs are placed on hosts: evenly, or on as few as can be."""

    SPREAD = "spread"
    PACK = "pack"
