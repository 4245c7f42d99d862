"""What the XML of a domain may hold when a user's template makes it: a list of what is harmless.

libvirt's XML can hand any file, device or socket of the host to a guest, and run programs as root.
A list of the bad would never be whole, so this is a list of the good. Whoever needs more writes it
into the plan (`allow_xml`), where it can be seen.
"""

import re
from collections.abc import Iterator
from functools import cache

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.template_files import template

_YOUR_PLAN = "take it out and use the plan"
REASONS: dict[str, tuple[str, str | None]] = {
    "qemu:commandline": ("gives QEMU options that libvirt does not look at", None),
    "devices/hostdev": ("hands a device of this host to the guest", None),
    "devices/filesystem": ("shows a folder of this host to the guest", None),
    "devices/redirdev": ("redirects a device from elsewhere to the guest", None),
    "devices/shmem": ("shares memory with other programs of this host", None),
    "devices/vsock": ("lets the guest and the host talk past every network of the plan", None),
    "devices/tpm": ("starts a program of its own, and its state is not vmnet's", None),
    "memoryBacking/locked": ("takes the memory from the host for good", None),
    "seclabel": ("changes what confines the guest's QEMU", None),
    "devices/interface@type": (
        "is another way to a network than the plan's macvtap; type=direct even crashes libvirt 9.0",
        'write <interface type="ethernet">, or include "interface.xml.j2"',
    ),
    "devices/interface/target@managed": (
        "has libvirt make and delete the device: it is vmnet's",
        'write managed="no"',
    ),
    "devices/interface@trustGuestRxFilters": (
        "lets the guest change its MAC and hear what is meant for others",
        "take it out",
    ),
    "devices/interface/filterref": (
        "does nothing on a macvtap: nwfilter needs a port of a bridge",
        f"{_YOUR_PLAN}: spoof_guard: strict on the network or NIC, which vmnet does with nft",
    ),
    "devices/interface/bandwidth": (
        "is for devices that libvirt makes, and this one is vmnet's",
        "take it out, and use vmnet link VM --rate",
    ),
    "devices/interface/script": ("is a program that libvirt runs as root", None),
    "devices/interface/downscript": ("is a program that libvirt runs as root", None),
    "devices/graphics@listen": (
        "lets others than this host see the guest's screen",
        'write listen="127.0.0.1"; from elsewhere, come through ssh -L',
    ),
    "devices/graphics/listen@address": (
        "lets others than this host see the guest's screen",
        'write address="127.0.0.1"; from elsewhere, come through ssh -L',
    ),
    "devices/disk@type": (
        "is a source that vmnet does not look after",
        'write type="file", and name the image in the plan',
    ),
    "devices/disk/driver@type": (
        "is not a format that vmnet checks",
        'write the format of the plan: type="qcow2" or type="raw"',
    ),
    "os@firmware": (
        "has libvirt choose the firmware, and leave a file of its variables behind",
        f"{_YOUR_PLAN}: boot: uefi",
    ),
}
"""What is known about those that people write most: why it is refused, and a better fix."""

_NAME = pattern(r"[A-Za-z0-9_-]+")
_PLAIN = r"[A-Za-z0-9_.,:^+-]{0,120}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one element may hold: the patterns of its attributes and of its text."""

    attributes: dict[str, re.Pattern[str]]
    text: re.Pattern[str] | None
    many: bool


def rule(path: str) -> Rule | None:
    """Return the rule for a path of elements; None when it is not on the list."""
    rules = _rules()
    parent, _, last = path.rpartition("/")
    if not _NAME.fullmatch(last):
        return rules.get(path)  # of a namespace: no * stands for that
    # devices/*/address is every device's; features/kvm/* is whatever stands there.
    generic = f"{parent.rpartition('/')[0]}/*/{last}" if parent.startswith("devices/") else ""
    return rules.get(path) or rules.get(generic) or rules.get(f"{parent}/*")


def paths() -> Iterator[str]:
    """Return the path of every element on the list; * stands for any name."""
    yield from _rules()


@cache
def _rules() -> dict[str, Rule]:
    return dict(map(_read, _lines()))


def _lines() -> Iterator[str]:
    for line in template("domain-allowlist.txt").replace("\\\n", "").splitlines():
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
