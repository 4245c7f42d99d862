"""One scalar of a plan at a time: text in, value out, or BadValue, which says how to fix it.

YAML never guesses a type here: `on`, `1e3` and a MAC stay text until one of these reads them.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import parse_qsl, urlsplit

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.plan import units
from provisioner.plan.mac import Mac
from provisioner.text import one_line

_LABEL = pattern(r"[a-z]([a-z0-9-]*[a-z0-9])?")
UPLINK = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*")
FOR_PLANS = ("auto", "qemu:///system", "qemu:///session")
_LOCAL = ("qemu", "qemu+unix")
_REMOTE = ("qemu+ssh", "qemu+libssh", "qemu+libssh2", "qemu+tls", "qemu+tcp", "qemu+ext")
_LOCAL_KEYS = frozenset({"socket", "mode"})
_CHOICES = "auto, qemu:///system or qemu:///session"

ETHER_TYPES = {
    "aoe": "0x88a2",
    "eapol": "0x888e",
    "ethercat": "0x88a4",
    "llc": "0x0000-0x05dc",  # lengths: 802.2, as STP has
    "lldp": "0x88cc",
    "macsec": "0x88e5",
    "mpls": "0x8847",
    "pppoe": "0x8864",
    "pppoe-discovery": "0x8863",
    "profinet": "0x8892",
    "ptp": "0x88f7",
    "qinq": "0x88a8",
    "rarp": "0x8035",
    "vlan": "0x8100",
}
ISOLATE_PLAN = "plan"
"""Stands in isolate for all other guests of the plan."""

HOST_SERVICES = ("dhcp", "dns")
ALWAYS_OPEN = frozenset({0x0800, 0x0806, 0x86DD})
LEAST_ETHER_TYPE = 0x0600  # IEEE 802.3, 3.2.6

_WHOLE = pattern(r"0|[1-9][0-9]{0,14}")
_AMOUNT = pattern(r"(0|[1-9][0-9]{0,8}) ?(?:([MGT])(?:i|iB)?)?")
_MIB = {None: 1, "M": 1, "G": 1024, "T": 1024 * 1024}
LEAST_MEMORY_MIB, MOST_MEMORY_MIB = 96, 1024 * 1024

FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_IFNAMSIZ = 16
_LONGEST_VM = 40
_FEW_DIGITS = 6
_NO_VALUE = "there is no value here"
_FILL_IN = "write one, or remove the key"


class BadValue(ValueError):  # noqa: N818  (pydantic carries a ValueError along with its place)
    """A value that does not hold: what is wrong with it, and how to fix it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


def quoted(value: object) -> str:
    """Return a value of the user for a message: on one line, short, harmless to a terminal."""
    return f'"{one_line(str(value), 60)}"'


def scalar(value: object) -> str:
    """Return one value as text; refuse nothing at all, a list and a mapping."""
    match value:
        case None | "":
            raise BadValue(_NO_VALUE, _FILL_IN)
        case list() | tuple():
            raise BadValue("one value is wanted here, not a list", "write a single value")
        case dict():
            raise BadValue("one value is wanted here, not keys", "write a single value")
        case _:
            return str(value)


def many(value: object) -> Sequence[object]:
    """Return one value or a list of them as a list."""
    return value if isinstance(value, list | tuple) else (value,)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a mistyped one is near to, if there is one."""
    import difflib

    near = difflib.get_close_matches(word[:64], list(known), n=1)
    return near[0] if near else None


def meant(word: str, known: Iterable[str]) -> str:
    """Return `did you mean "…"? ` when a known word is near, else nothing."""
    near = nearest(word, known)
    return f'did you mean "{near}"? ' if near else ""


def one_of(value: object, known: Iterable[str], kind: str) -> str:
    """Return one of a few words, or say which there are."""
    word = scalar(value)
    words = tuple(known)
    if word not in words:
        raise BadValue(f"{quoted(word)} is not {kind}", f"use one of {', '.join(words)}")
    return word


@dataclass(frozen=True, slots=True)
class Matching:
    """The reader of text that matches the whole pattern, in ASCII's classes; `.` is any character.

    `what` and `fix` are the two sentences of its BadValue; {text} is the text, quoted, {size} its
    length. `text_of` is what takes the text out of a value, another reader for example.
    """

    pattern: str
    what: str
    fix: str
    text_of: Callable[[object], str] = scalar

    def __call__(self, value: object) -> str:
        """Return the text. Raises BadValue."""
        text = self.text_of(value)
        if not re.fullmatch(self.pattern, text, re.DOTALL | re.ASCII):
            known = {"text": quoted(text), "size": len(text)}
            raise BadValue(self.what.format(**known), self.fix.format(**known))
        return text


_LABEL_FIX = (
    "use a-z, 0-9 and -, a letter first, no - at the end, at most %d characters (this has {size})"
)
plan_name = Matching(
    rf"(?=.{{1,32}}\Z){_LABEL.pattern}", "{text} cannot name a plan", _LABEL_FIX % 32
)
"""A DNS label of at most 32 characters."""

vm_name = Matching(
    rf"(?=.{{1,{_LONGEST_VM}}}\Z){_LABEL.pattern}",
    "{text} cannot name a VM",
    _LABEL_FIX % _LONGEST_VM,
)
"""A DNS label of at most 40 characters; it becomes the guest's hostname."""

network_name = Matching(
    r"[a-z][a-z0-9_-]{0,31}",
    "{text} cannot name a network",
    "use a-z, 0-9, _ and -, a letter first, at most 32 characters (this has {size})",
)


def is_vm_name(name: str) -> bool:
    """Return whether `vm_name` would take a name."""
    return len(name) <= _LONGEST_VM and bool(_LABEL.fullmatch(name))


@dataclass(frozen=True, slots=True)
class Whole:
    """The reader of whole numbers from `low` to `high`, written in plain decimal digits."""

    what: str
    low: int
    high: int

    def __call__(self, value: object) -> int:
        """Return the number. Raises BadValue."""
        text = scalar(value)
        if not _WHOLE.fullmatch(text) or not self.low <= int(text) <= self.high:
            raise BadValue(
                f"{quoted(text)} is not {self.what}",
                f"write a whole number from {self.low} to {self.high}",
            )
        return int(text)


cpus = Whole("a number of CPUs", 1, 64)
mtu = Whole("an MTU", 68, 65535)  # from IPv4's least (RFC 791) to the most that a macvtap takes
vlan = Whole("a VLAN", 1, 4094)  # 0 and 4095 are reserved (IEEE 802.1Q, 9.6)
queues = Whole("a number of queues", 1, 256)  # libvirt's and macvtap's limit (linux/if_tap.h)
txqueuelen = Whole("a queue length", 1, 1_000_000)  # frames


def share(value: object) -> float:
    """Parse a percentage, 0% to 100%, to a share of 1."""
    if isinstance(value, float):
        return value
    text = scalar(value)
    found = units.share(text)
    if found is None or found > 1:
        raise BadValue(f"{quoted(text)} is not a share", "write a percentage: 2%, 0.5% or 0%")
    return found


def amount_mib(text: str) -> tuple[int, str | None] | None:
    """Parse 512, 512M, 512MiB, 20 G or 1T to MiB, with its unit's letter; None for other text."""
    parts = _AMOUNT.fullmatch(text)
    return (int(parts[1]) * _MIB[parts[2]], parts[2]) if parts else None


def memory_mib(value: object) -> int:
    """Parse an amount of memory to MiB, which is also its unit when none is written."""
    text = scalar(value)
    found = amount_mib(text)
    if found is None or found[1] == "T":
        raise BadValue(
            f"{quoted(text)} is not an amount of memory",
            "write it like 128M, 512MiB or 1G; a number alone counts MiB",
        )
    mib = found[0]
    if mib < LEAST_MEMORY_MIB:
        fix = f"give at least {LEAST_MEMORY_MIB}M: less does not boot"
        raise BadValue(f"{quoted(text)} is too little memory", fix)
    if mib > MOST_MEMORY_MIB:
        fix = f"give at most {MOST_MEMORY_MIB // 1024}G"
        raise BadValue(f"{quoted(text)} is too much memory", fix)
    return mib


def uplink(value: object) -> str:
    """Return the name of a host's NIC.

    Narrower than the kernel, which lets `$(id)` and `-rf` name a device (dev_valid_name in
    net/core/dev.c); no NIC that people use carries more than these characters.
    """
    name = scalar(value)
    size = len(name.encode("utf-8", "surrogatepass"))
    if size >= _IFNAMSIZ:
        raise BadValue(
            f"{quoted(name)} cannot name an uplink",
            f"the kernel allows at most {_IFNAMSIZ - 1} bytes (this has {size})",
        )
    if not UPLINK.fullmatch(name):
        raise BadValue(
            f"{quoted(name)} cannot name an uplink",
            "use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs",
        )
    if name in {"lo", "all", "default"}:
        raise BadValue(
            f"{quoted(name)} cannot carry macvtaps",
            "name a NIC of this host (`ip link` lists them), or use switch: true instead",
        )
    return name


def flag(value: object) -> bool:
    """Parse true or false, in the words that YAML knows for them."""
    if isinstance(value, bool):
        return value
    word = scalar(value)
    if word.lower() not in FLAGS:
        raise BadValue(f"{quoted(word)} is neither true nor false", "write true or false")
    return FLAGS[word.lower()]


def is_flag(value: object) -> bool:
    """Return whether `flag` would take a value."""
    return isinstance(value, bool) or (isinstance(value, str) and value.lower() in FLAGS)


def allowed(value: object) -> str:
    """Return whom a source-mode NIC receives from: a MAC, vm:NAME (all MACs of that VM) or host."""
    text = scalar(value)
    if text == "host":
        return text
    if not text.startswith("vm:"):
        return _unicast(
            text, "write a MAC, vm:NAME or host", "take it out of the list", "take it out"
        )
    if not is_vm_name(text.removeprefix("vm:")):
        raise BadValue(f"{quoted(text)} names no VM", "write it like vm:web1, or give a MAC")
    return text


def isolated(value: object) -> str:
    """Return from whom a NIC is kept: `plan` (all other guests of the plan) or a MAC."""
    text = scalar(value)
    if text == ISOLATE_PLAN:
        return text
    return _unicast(text, "write plan, or a MAC", "take it out of the list", "take it out")


def host_service(value: object) -> str:
    """Return a service that vmnet has on a switch's host side: dhcp or dns."""
    text = scalar(value)
    if text not in HOST_SERVICES:
        known = " and ".join(HOST_SERVICES)
        raise BadValue(
            f"{quoted(text)} is no service of the host's", f"list {known}, or write [] for none"
        )
    return text


def ether_type(value: object) -> str:
    """Return an EtherType by its name or number, as nft reads it: "0x88cc", "0x0000-0x05dc"."""
    text = scalar(value)
    known = ", ".join(ETHER_TYPES)
    if text in ETHER_TYPES:
        return ETHER_TYPES[text]
    if not re.fullmatch(r"0x[0-9a-fA-F]{4}", text):
        raise BadValue(
            f"{quoted(text)} is not an EtherType", f"write one of {known}, or a number as 0x88cc"
        )
    number = int(text, 16)
    if number in ALWAYS_OPEN:
        raise BadValue(
            f"{quoted(text)} is open in any case, and held to the guest's addresses", "leave it out"
        )
    if number < LEAST_ETHER_TYPE:
        raise BadValue(f"{quoted(text)} is a length, not an EtherType", "write llc for such frames")
    return f"{number:#06x}"


def mac(value: object) -> Mac:
    """Parse a unicast MAC."""
    text = scalar(value)
    eaten = text.isdecimal() and len(text) > _FEW_DIGITS
    hint = "; did a YAML tool eat the colons?" if eaten else ""
    form = f"a MAC looks like 02:00:00:00:00:01{hint}"
    return _unicast(text, form, "leave mac out: vmnet derives one", "leave mac out")


def _unicast(text: str, form: str, instead: str, way_out: str) -> Mac:
    try:
        found = Mac(text)
    except ValueError:
        raise BadValue(f"{quoted(text)} is not a MAC", form) from None
    if not any(found.packed):
        raise BadValue(f"{quoted(text)} is nobody's MAC", instead)
    if not found.is_unicast:
        raise BadValue(
            f"{quoted(text)} is a multicast MAC",
            f"make the first octet even, as in 02:00:00:00:00:01, or {way_out}",
        )
    return found


def connection(value: object) -> str:
    """Return the libvirt connection that a plan may choose: one of `FOR_PLANS`.

    A libvirt URI can name a socket, a host with the keys to log into it, or a folder whose settings
    libvirt obeys as root: a plan that somebody else wrote must not choose any of them.
    """
    text = scalar(value)
    if text in FOR_PLANS:
        return text
    uri(text)
    raise BadValue(
        f"a plan cannot choose the connection {quoted(text)}",
        f"use {_CHOICES}; another socket of this host is named on the command line: --connection",
    )


def uri(text: str) -> str:
    """Return `auto` or a URI of libvirt's QEMU driver on this host, as an operator may give it."""
    if text in FOR_PLANS:
        return text
    try:
        parts = urlsplit(text)
        keys = {key for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    except ValueError:
        parts, keys = urlsplit(""), set()
    if parts.scheme in _REMOTE or (parts.scheme in _LOCAL and parts.netloc):
        raise BadValue(
            f"{quoted(text)} leads to another host, and macvtaps are made on this one",
            f"run vmnet on that host; here use {_CHOICES}",
        )
    if parts.scheme in _LOCAL and parts.path == "/embed":
        raise BadValue(
            f"{quoted(text)}: vmnet alone chooses the root of its embedded libvirt",
            "use auto, which takes the embedded libvirt where no daemon answers",
        )
    plain = text.isascii() and text.isprintable() and " " not in text and "://" in text
    known = parts.scheme in _LOCAL and parts.path in {"/system", "/session"}
    if not (plain and known and not parts.fragment and keys <= _LOCAL_KEYS):
        raise BadValue(f"{quoted(text)} is not a libvirt connection to QEMU", f"use {_CHOICES}")
    return text
