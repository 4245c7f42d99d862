"""What a guest says of itself: name, OS, addresses, load, disks. Bounded and harmless, not true.

Whatever an agent answers, of whatever type, gives a value; what is not as the agent's protocol has
it is left out.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, NoReturn

from provisioner.text import one_line

MOST: Final = 32
"""Cards, addresses, disks and users that are listed; a guest may tell of ten thousand."""

_WORD: Final = 80  # characters
_FEW: Final = 3  # of what is in a table for people
_THOUSAND: Final = 1024
_MAC: Final = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_LOAD: Final = re.compile(r"(\d{1,6}\.\d{1,4}) (\d{1,6}\.\d{1,4}) (\d{1,6}\.\d{1,4}) ")
_BYTES: Final = 1 << 63
_MOST_DIGITS: Final = 20  # of a whole number: 64 bits have no more


@dataclass(frozen=True, slots=True)
class AgentNic:
    """A network card as its guest sees it."""

    name: str
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GuestDisk:
    """A file system: where it is mounted, and how many of its bytes are used."""

    mountpoint: str
    used: int
    total: int


@dataclass(frozen=True, slots=True)
class GuestInfo:
    """A guest's own words; empty what it did not say. `load` is of 1, 5 and 15 minutes."""

    hostname: str = ""
    os: str = ""
    kernel: str = ""
    load: tuple[float, ...] = ()
    cards: tuple[AgentNic, ...] = ()
    disks: tuple[GuestDisk, ...] = ()
    users: tuple[str, ...] = ()
    problem: str = ""  # why it said nothing, or not all

    @property
    def as_json(self) -> dict[str, object]:
        """Give it as the report's JSON has it."""
        return {
            "hostname": self.hostname,
            "os": self.os,
            "kernel": self.kernel,
            "load": list(self.load),
            "nics": [
                {"name": c.name, "mac": c.mac, "addresses": list(c.addresses)} for c in self.cards
            ],
            "disks": [
                {"mountpoint": d.mountpoint, "used": d.used, "total": d.total} for d in self.disks
            ],
            "users": list(self.users),
            "problem": self.problem,
        }


def read(answers: Mapping[str, object], loadavg: str = "", problem: str = "") -> GuestInfo:
    """Put together what the agent has answered, by its commands, and /proc/loadavg's text."""
    about = _mapping(answers.get("guest-get-osinfo"))
    load = _LOAD.match(loadavg)
    return GuestInfo(
        hostname=_word(_mapping(answers.get("guest-get-host-name")).get("host-name")),
        os=_word(about.get("pretty-name")) or _word(about.get("name")),
        kernel=_word(about.get("kernel-release")),
        load=tuple(float(one) for one in load.groups()) if load else (),
        cards=tuple(_cards(answers.get("guest-network-get-interfaces"))),
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


def cells(words: GuestInfo) -> tuple[str, ...]:
    """Give the cells of a table: name, OS, kernel, load, disks, addresses."""
    disks = ", ".join(
        f"{d.mountpoint} {round(100 * d.used / d.total)}% of {_size(d.total)}"
        for d in words.disks[:_FEW]
    )
    addresses = " ".join(a for card in words.cards for a in card.addresses[:_FEW])
    load = " ".join(f"{one:g}" for one in words.load)
    told = (words.hostname, words.os, words.kernel, load, disks, one_line(addresses, 3 * _WORD))
    return told if any(told) else (words.problem, *told[1:])


def _size(count: int) -> str:
    for unit in ("B", "K", "M", "G"):
        if count < _THOUSAND:
            return f"{count:.0f}{unit}"
        count //= _THOUSAND
    return f"{count}T"


def _cards(told: object) -> Iterator[AgentNic]:
    for card in _list(told):
        name, mac = _word(card.get("name")), _word(card.get("hardware-address")).lower()
        addresses = tuple(ip for a in _list(card.get("ip-addresses")) if (ip := _address(a)))
        if _MAC.fullmatch(mac) and mac != "00:00:00:00:00:00":
            yield AgentNic(name, mac, addresses)


def _address(told: Mapping[str, object]) -> str:
    try:
        ip = ip_address(_word(told.get("ip-address")))
    except ValueError:
        return ""
    return "" if ip.is_link_local or ip.is_loopback or ip.is_multicast else str(ip)


def _disks(told: object) -> Iterator[GuestDisk]:
    for disk in _list(told):
        used, total = _count(disk.get("used-bytes")), _count(disk.get("total-bytes"))
        if total and used is not None:
            yield GuestDisk(_word(disk.get("mountpoint")), min(used, total), total)


def _count(told: object) -> int | None:
    whole = isinstance(told, int) and not isinstance(told, bool) and 0 <= told < _BYTES
    return told if whole else None  # type: ignore[return-value]


def _word(told: object) -> str:
    return one_line(told, _WORD) if isinstance(told, str) else ""


def _mapping(told: object) -> Mapping[str, object]:
    return told if isinstance(told, dict) else {}


def _list(told: object) -> list[Mapping[str, object]]:
    some = told[:MOST] if isinstance(told, list) else []
    return [one for one in some if isinstance(one, dict)]


def parsed(text: str) -> Any:  # noqa: ANN401  (JSON)
    """Read JSON. Raises ValueError for what is not JSON, or what readers disagree about.

    That is: numbers that are not finite or have more than 20 digits, a key that comes twice,
    nesting without end.
    """
    try:
        return json.loads(
            text,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_refuse,
            object_pairs_hook=_unique,
        )
    except RecursionError as error:
        raise ValueError("nested without end") from error


def returned(text: str) -> Any:  # noqa: ANN401  (JSON)
    """Give what an agent's answer returns. Raises ValueError when it is not an answer."""
    answer = parsed(text)
    if not isinstance(answer, dict) or "return" not in answer:
        raise ValueError("no answer")
    return answer["return"]


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError("a number of too many digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number without end")
    return number


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that comes twice")
    return found
