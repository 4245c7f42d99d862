"""What a guest's agent reports: name, OS, addresses, load, disks. Bounded and harmless, not true.

Any answer of any type gives a value; what the agent's protocol does not have is left out.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

from provisioner.dataclass import dataclass
from provisioner.json_document import strict
from provisioner.pattern import pattern
from provisioner.plan.mac import is_mac
from provisioner.text import one_line

MOST: Final = 32
"""NICs, addresses, disks and users that are listed; a guest may report ten thousand."""

_WORD: Final = 80  # characters
_FEW: Final = 3  # of what is in a table for people
_THOUSAND: Final = 1024
_LOAD: Final = pattern(r"(\d{1,6}\.\d{1,4}) (\d{1,6}\.\d{1,4}) (\d{1,6}\.\d{1,4}) ")
_BYTES: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class AgentNic:
    """A NIC as its guest sees it."""

    name: str
    mac: str
    addresses: tuple[str, ...]
    interfaces: tuple[str, ...] = ()  # those with a prefix: "10.0.0.1/24"


@dataclass(frozen=True, slots=True)
class GuestDisk:
    """A file system: where it is mounted, and how many of its bytes are used."""

    mountpoint: str
    used: int
    total: int


@dataclass(frozen=True, slots=True)
class GuestInfo:
    """A guest's own report; empty where it gave none. `load`: over 1, 5 and 15 minutes."""

    hostname: str = ""
    os: str = ""
    kernel: str = ""
    load: tuple[float, ...] = ()
    nics: tuple[AgentNic, ...] = ()
    disks: tuple[GuestDisk, ...] = ()
    users: tuple[str, ...] = ()
    problem: str = ""  # why it reported nothing, or not all


def read(answers: Mapping[str, object], loadavg: str = "", problem: str = "") -> GuestInfo:
    """Parse what the agent has answered, by command, and the text of /proc/loadavg."""
    about = _mapping(answers.get("guest-get-osinfo"))
    load = _LOAD.match(loadavg)
    return GuestInfo(
        hostname=_word(_mapping(answers.get("guest-get-host-name")).get("host-name")),
        os=_word(about.get("pretty-name")) or _word(about.get("name")),
        kernel=_word(about.get("kernel-release")),
        load=tuple(float(one) for one in load.groups()) if load else (),
        nics=tuple(nics(answers.get("guest-network-get-interfaces"))),
        disks=tuple(_disks(answers.get("guest-get-fsinfo"))),
        users=tuple(
            dict.fromkeys(
                name
                for u in _list(answers.get("guest-get-users"))
                if (name := _word(u.get("user")))
            )
        ),
        problem=one_line(problem),
    )


def cells(info: GuestInfo) -> tuple[str, ...]:
    """Return the cells of a table: name, OS, kernel, load, disks, addresses."""
    disks = ", ".join(
        f"{d.mountpoint} {round(100 * d.used / d.total)}% of {_size(d.total)}"
        for d in info.disks[:_FEW]
    )
    addresses = " ".join(a for nic in info.nics for a in nic.addresses[:_FEW])
    load = " ".join(f"{one:g}" for one in info.load)
    row = (info.hostname, info.os, info.kernel, load, disks, one_line(addresses, 3 * _WORD))
    return row if any(row) else (info.problem, *row[1:])


def _size(count: int) -> str:
    for unit in ("B", "K", "M", "G"):
        if count < _THOUSAND:
            return f"{count:.0f}{unit}"
        count //= _THOUSAND
    return f"{count}T"


def nics(answer: object, most: int = MOST) -> Iterator[AgentNic]:
    """Return the NICs in an answer to guest-network-get-interfaces, `most` of them."""
    for nic in _list(answer, most):
        name, mac = _word(nic.get("name")), _word(nic.get("hardware-address")).lower()
        if is_mac(mac) and mac != "00:00:00:00:00:00":
            yield AgentNic(name, mac, tuple(addresses([nic], most)), tuple(_interfaces(nic, most)))


def addresses(answer: object, most: int = MOST) -> Iterator[str]:
    """Return the addresses in that answer of all devices, `most` of each, whatever they are."""
    for nic in _list(answer, most):
        listed = _list(nic.get("ip-addresses"), most)
        yield from (ip for one in listed if (ip := _address(one)))


def _interfaces(nic: Mapping[str, object], most: int) -> Iterator[str]:
    for one in _list(nic.get("ip-addresses"), most):
        ip, prefix = _address(one), one.get("prefix")
        if ip and isinstance(prefix, int) and 0 <= prefix <= ip_address(ip).max_prefixlen:
            yield f"{ip}/{prefix:d}"


def _address(answer: Mapping[str, object]) -> str:
    try:
        ip = ip_address(_word(answer.get("ip-address")))
    except ValueError:
        return ""
    return "" if ip.is_link_local or ip.is_loopback or ip.is_multicast else str(ip)


def _disks(answer: object) -> Iterator[GuestDisk]:
    for disk in _list(answer):
        used, total = _count(disk.get("used-bytes")), _count(disk.get("total-bytes"))
        if total and used is not None:
            yield GuestDisk(_word(disk.get("mountpoint")), min(used, total), total)


def _count(answer: object) -> int | None:
    whole = isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < _BYTES
    return answer if whole else None  # type: ignore[return-value]


def _word(answer: object) -> str:
    return one_line(answer, _WORD) if isinstance(answer, str) else ""


def _mapping(answer: object) -> Mapping[str, object]:
    return answer if isinstance(answer, dict) else {}


def _list(answer: object, most: int = MOST) -> list[Mapping[str, object]]:
    some = answer[:most] if isinstance(answer, list) else []
    return [one for one in some if isinstance(one, dict)]


def parsed(text: str) -> Any:  # noqa: ANN401  (JSON)
    """Parse JSON that a guest has written, strictly. Raises ValueError."""
    try:
        return strict(text)
    except RecursionError as error:
        raise ValueError("nested without end") from error


def returned(text: str) -> Any:  # noqa: ANN401  (JSON)
    """Return the result in an agent's answer. Raises ValueError when it is not an answer."""
    answer = parsed(text)
    if not isinstance(answer, dict) or "return" not in answer:
        raise ValueError("no answer")
    return answer["return"]
