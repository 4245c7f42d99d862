"""What the XML of a domain may hold when a user's template makes it: a list of what is harmless.

libvirt's XML can hand any file, device or socket of the host to a guest, and run programs as root.
A list of the bad would never be whole, so this is a list of the good. Whoever needs more says so in
the plan (`allow_xml`), where it can be seen.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

# One element a line: its path (/ is the domain itself), a * if it may stand there more than once, #
# if it holds text, then its attributes. Text and attributes are plain words, unless =PATTERN says
# otherwise: a plain word has no slash in it, so it names no file. What =.+ allows is compared with
# the plan, value by value, in guest/xml/compare.py.
_TABLE = r"""
/ type=kvm|qemu
name #=.+
uuid #=.+
title #=.*
description #=.*
genid #
metadata
metadata/vmnet:domain #=.*

# memory: how much is the plan's. No <locked/>, which takes it from the host for good, no source of
# type file, no <maxMemory>, and no cpu/numa: libvirt takes the sum of the cells for the memory.
memory # unit dumpCore=off
currentMemory # unit
memoryBacking
memoryBacking/hugepages
memoryBacking/hugepages/page* size unit nodeset
memoryBacking/nosharepages
memoryBacking/source type=anonymous|memfd
memoryBacking/access mode=shared|private
memoryBacking/allocation mode threads
memoryBacking/discard
memtune
memtune/hard_limit # unit
memtune/soft_limit # unit
memtune/swap_hard_limit # unit
blkiotune
blkiotune/weight #

# processors: pinning and shares concern the guest itself. No vcpusched: a real-time guest can take
# a core away from the host. No <resource>, <cachetune>: they move the guest to another's budget.
vcpu # placement cpuset
iothreads #
iothreadids
iothreadids/iothread* id thread_pool_min thread_pool_max
cputune
cputune/vcpupin* vcpu cpuset
cputune/emulatorpin cpuset
cputune/iothreadpin* iothread cpuset
cputune/shares #
cputune/period #
cputune/quota #
cputune/global_period #
cputune/global_quota #
cputune/emulator_period #
cputune/emulator_quota #
cputune/iothread_period #
cputune/iothread_quota #
numatune
numatune/memory mode nodeset placement
cpu mode match check migratable
cpu/model # fallback vendor_id
cpu/vendor #
cpu/topology sockets dies clusters cores threads
cpu/cache level mode
cpu/maxphysaddr mode bits
cpu/feature* name policy

# firmware: which one is the plan's; firmware="efi" would have libvirt choose, and leave a file of
# variables behind. No dtb, no acpi/table: they read files of the host.
os
os/type #=hvm arch=x86_64 machine
os/loader #=.+ readonly=yes secure=no type=rom|pflash stateless format=raw
os/nvram #=.+ template=.+ format=raw|qcow2 templateFormat=raw
os/kernel #=.*
os/initrd #=.*
os/cmdline #=.*
os/boot* dev=hd|cdrom|network
os/bootmenu enable timeout
os/bios useserial=yes|no rebootTimeout
os/smbios mode=emulate|sysinfo
sysinfo* type=smbios|fwcfg
sysinfo/bios
sysinfo/bios/entry* name #=.*
sysinfo/system
sysinfo/system/entry* name #=.*
sysinfo/baseBoard*
sysinfo/baseBoard/entry* name #=.*
sysinfo/chassis
sysinfo/chassis/entry* name #=.*
sysinfo/oemStrings
sysinfo/oemStrings/entry* #=.*
sysinfo/entry* name=opt/[\w./-]+ file=.+ #=.*

features
features/acpi
features/apic eoi
features/pae
features/hap state
features/pmu state
features/vmport state
features/vmcoreinfo state
features/smm state
features/smm/tseg # unit
features/ioapic driver
features/kvm
features/kvm/* state
features/hyperv mode
features/hyperv/* state retries value
clock offset adjustment basis
clock/timer* name tickpolicy present mode frequency track
clock/timer/catchup threshold slew limit
pm
pm/suspend-to-mem enabled
pm/suspend-to-disk enabled
# No coredump-*: the guest's memory would be written to the host's disk.
on_poweroff #=destroy|restart|preserve
on_reboot #=destroy|restart|preserve
on_crash #=destroy|restart|preserve

devices
devices/emulator #=.+
devices/controller* type=usb|pci|scsi|sata|ide|virtio-serial|ccid index model ports vectors
devices/controller/model name
devices/controller/driver iothread queues cmd_per_lun max_sectors
devices/controller/target chassisNr chassis port hotplug busNr index
devices/controller/master startport
devices/*/address type domain bus slot function multifunction controller target unit port reg base
devices/*/alias name=ua-[\w-]+
devices/*/acpi index

# No shareable, transient, auth, encryption, mirror, seclabel: a source is a file of the plan.
devices/disk* type=file|block device=disk|cdrom
devices/disk/driver name=qemu type=raw|qcow2 cache io discard=unmap|ignore detect_zeroes iothread \
 queues queue_size error_policy rerror_policy copy_on_read event_idx ioeventfd packed \
 discard_no_unref
devices/disk/source file=.+ dev=/dev/.+
devices/disk/target dev=(vd|sd|hd)[a-z]{1,2} bus rotation_rate removable
devices/disk/readonly
devices/disk/backingStore type=file
devices/disk/backingStore/format type=raw|qcow2
devices/disk/backingStore/source file=.+
devices/disk/backingStore/backingStore
devices/disk/boot order
devices/disk/serial #
devices/disk/wwn #
devices/disk/vendor #
devices/disk/product #
devices/disk/blockio logical_block_size physical_block_size discard_granularity
devices/disk/iotune
devices/disk/iotune/* #

# No script (root runs it), backend, filterref, bandwidth, vlan, virtualport, ip, route, guest.
devices/interface* type=ethernet trustGuestRxFilters=no
devices/interface/mac address=.+
devices/interface/target dev=.+ managed=no
devices/interface/model type=virtio
devices/interface/driver name=qemu|vhost queues rx_queue_size tx_queue_size txmode ioeventfd \
 event_idx packed rss rss_hash_report
devices/interface/driver/host csum gso tso4 tso6 ecn ufo mrg_rxbuf
devices/interface/driver/guest csum tso4 tso6 ecn ufo
devices/interface/mtu size
devices/interface/rom enabled=yes|no bar
devices/interface/boot order
devices/interface/coalesce
devices/interface/coalesce/rx
devices/interface/coalesce/rx/frames max

# One serial port, whose log is the console's; a channel's socket lies where libvirt puts it.
devices/serial type=pty
devices/serial/log file=.+ append=on|off
devices/serial/target type port
devices/serial/target/model name
devices/console type=pty
devices/console/target type=serial port
devices/channel* type=unix
devices/channel/target type=virtio name

devices/graphics type=vnc listen=127\.0\.0\.1 port autoport websocket=-1 keymap sharePolicy
devices/graphics/listen type=address address=127\.0\.0\.1
devices/video
devices/video/model type heads vram vgamem ram primary
devices/video/model/resolution x y
devices/video/driver name=qemu
devices/input* type=keyboard|mouse|tablet bus model
# No action="dump": see on_crash.
devices/watchdog* model action=reset|shutdown|poweroff|pause|none|inject-nmi
devices/rng* model
devices/rng/rate bytes period
devices/rng/backend model=random|builtin #=/dev/u?random|
devices/memballoon model autodeflate freePageReporting
devices/memballoon/stats period
devices/panic* model
devices/iommu model
devices/iommu/driver intremap caching_mode eim iotlb aw_bits

qemu:capabilities
qemu:capabilities/qemu:del capability=cpu-unavailable-features
"""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = r"[A-Za-z0-9_.,:^+-]{0,120}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one element may hold: the patterns of its attributes and of its text."""

    attributes: dict[str, re.Pattern[str]]
    text: re.Pattern[str] | None
    many: bool


def rule(path: str) -> Rule | None:
    """Give the rule for a path of elements; None when it is not on the list."""
    rules = _rules()
    parent, _, last = path.rpartition("/")
    if not _NAME.fullmatch(last):
        return rules.get(path)  # of a namespace: no * stands for that
    # devices/*/address is every device's; features/kvm/* is whatever stands there.
    generic = f"{parent.rpartition('/')[0]}/*/{last}" if parent.startswith("devices/") else ""
    return rules.get(path) or rules.get(generic) or rules.get(f"{parent}/*")


def paths() -> Iterator[str]:
    """Give the path of every element on the list; * stands for any name."""
    yield from _rules()


@cache
def _rules() -> dict[str, Rule]:
    return dict(map(_read, _lines()))


def _lines() -> Iterator[str]:
    for line in _TABLE.replace("\\\n", "").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _read(line: str) -> tuple[str, Rule]:
    path, *words = line.split()
    patterns = {}
    for word in words:
        name, is_pattern, pattern = word.partition("=")
        patterns[name] = re.compile(pattern if is_pattern else _PLAIN, re.DOTALL)
    text = patterns.pop("#", None)
    many = path.endswith("*") and not path.endswith("/*")
    return (path[:-1] if many else path), Rule(patterns, text, many or path.endswith("/*"))
