"""A check as the user writes it: `web1 -> web2 tcp/22`, `web* -/> db`, `-> 10.0.0.1 mtu 1500`."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.plan import units
from provisioner.plan.ip import Address
from provisioner.plan.scalars import BadValue, meant, quoted

AUTO: Final = "auto"
HOST: Final = "host"
GATEWAY: Final = "gateway"
_HOW = "write it as in: web1 -> web2; web1 -/> db; web* -> 192.168.1.1 tcp/22"
_ARROW = pattern(r"^(?P<source>[^\s<>]*?)\s*(?P<arrow>-/>|->)\s*(?P<rest>\S.*)$")
_NAME = pattern(r"[A-Za-z0-9*?(\[][A-Za-z0-9*?.:()\[\]_-]{0,252}")
_PORT = pattern(r"(tcp|udp)/([0-9]{1,5})")
_URL = pattern(r"https?://([^/\s:\[\]]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[\x21-\x7e]*)?")
_DNS = pattern(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9.])?")
_STATUS = pattern(r"[1-5][0-9]{2}")
_BYTES = pattern(r"[0-9]{1,5}")
_LEAST_MTU, _MOST_MTU = 68, 65535
_MOST_WITHIN_S = 600.0
_LIMITS = {
    "throughput": (">", units.rate_bit, "throughput > 1gbit"),
    "latency": ("<", units.seconds, "latency < 5ms"),
    "loss": ("<", units.share, "loss < 1%"),
}
_ASKED = ("tcp/22", "udp/53", "http://", "dns", "mtu", *_LIMITS)
_WORDS = (*_ASKED, "ipv4", "ipv6", "on", "within", "status", "or refused")
_WORD = "|".join(
    (
        _PORT.pattern,
        _URL.pattern,
        "ipv4|ipv6|or\\s+refused",
        rf"dns\s+{_DNS.pattern}",
        rf"status\s+{_STATUS.pattern}",
        rf"on\s+{_NAME.pattern}",
        rf"within\s+{units.TIME.pattern}",
        rf"mtu\s+{_BYTES.pattern}",
        r"throughput\s+>\s*[0-9.]+[kKmMgG][bB][iI][tT](?:/[sS])?",
        rf"latency\s+<\s*{units.TIME.pattern}",
        rf"loss\s+<\s*{units.PERCENT.pattern}",
    )
)
LINE: Final = (
    rf"\s*(?:{AUTO}|(?:{_NAME.pattern})?\s*-/?>\s*"
    rf"(?:{_URL.pattern}|dns\s+{_DNS.pattern}|(?!dns(?:\s|\Z)){_NAME.pattern})"
    rf"(?:\s+(?:{_WORD}))*)\s*"
)
"""The pattern of every line that can be read; it matches some that cannot, which ask for two things
or go beyond a limit."""
_CAN_REFUSE = frozenset({"tcp", "udp", "http"})


class What(StrEnum):
    """What is asked of a pair."""

    PING = "ping"
    TCP = "tcp"
    UDP = "udp"
    HTTP = "http"
    DNS = "dns"
    MTU = "mtu"
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """What is asked, with its one number: a port, an HTTP status, bytes, bit/s, seconds, a share.

    `text` is a URL or a DNS name. A throughput must be above its number, a latency or a loss below.
    """

    what: What = What.PING
    number: float = 0.0
    text: str = ""

    def __str__(self) -> str:
        """Write it as a plan has it."""
        n = self.number
        words = {
            What.PING: "ping",
            What.TCP: f"tcp/{n:.0f}",
            What.UDP: f"udp/{n:.0f}",
            What.HTTP: f"{self.text} status {n:.0f}" if n else self.text,
            What.DNS: f"dns {self.text}",
            What.MTU: f"mtu {n:.0f}",
            What.THROUGHPUT: f"throughput > {n / 1e6:.10g}mbit",
            What.LATENCY: f"latency < {n * 1000:.10g}ms",
            What.LOSS: f"loss < {n * 100:.10g}%",
        }
        return words[self.what]


PING: Final = CheckSpec()


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked of one guest about one address; `peer` is the VM that has it, if one has.

    `own_mtu` is the size of the largest packet that the guest may send; 0 when nobody knows. `due`
    are the addresses that a name is to resolve to, where the plan says it.
    """

    asked: CheckSpec
    address: Address | None
    within_s: float = 0.0
    own_mtu: int = 0
    peer: str = ""
    due: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One line: from whom to whom, whether it should come through, and what is asked.

    `version` is 4 or 6 when one IP version alone is meant, else 0; `within_s` 0 leaves the usual
    deadline. `source` is "*" for every VM. With `or_refused` who is refused counts as isolated.
    """

    text: str
    source: str
    target: str
    reaches: bool
    asked: CheckSpec
    network: str = ""
    version: int = 0
    within_s: float = 0.0
    or_refused: bool = False


def line(value: object) -> Check | str:
    """Parse one line of `checks`; "auto" stays. Raises BadValue."""
    text = " ".join(str(value).split())
    if text == AUTO:
        return AUTO
    found = _ARROW.match(text)
    if not found:
        raise BadValue(f"{quoted(text)} is not a check", _HOW)
    source = found["source"] or "*"
    if not _NAME.fullmatch(source):
        raise BadValue(f"{quoted(source)} is not a source of a check", _HOW)
    words = found["rest"].split()
    return _Words(text, words).read(source, reaches=found["arrow"] == "->")


def at_address(url: str, address: Address | None) -> str:
    """Return a URL with an address in place of its host's name; without an address as it is."""
    if address is None:
        return url
    host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    return re.sub(r"^(https?://)(\[[^\]]*\]|[^/:]+)", lambda m: m[1] + host, url, count=1)


class _Words:
    """The words of a line after its arrow, read one after another."""

    def __init__(self, text: str, words: list[str]) -> None:
        self.left = words
        self.asked = CheckSpec()
        self._text = text
        self._more: dict[str, float | str] = {}
        self._or_refused = False

    def read(self, source: str, *, reaches: bool) -> Check:
        target = ""
        first = self.left[0]
        if not (_URL.fullmatch(first) or first == "dns"):
            target = self.left.pop(0)
            if not _NAME.fullmatch(target):
                raise BadValue(f"{quoted(target)} is not a target of a check", _HOW)
        while self.left:
            self.take(self.left.pop(0))
        if self._or_refused and (reaches or self.asked.what not in _CAN_REFUSE):
            raise BadValue(
                f"{quoted(self._text)} cannot be refused",
                "or refused goes with -/> and a port or a URL: a -/> b tcp/22 or refused",
            )
        if self.asked.what is What.HTTP and not target:
            found = _URL.fullmatch(self.asked.text)
            target = found[1].strip("[]") if found else ""
        return Check(
            self._text,
            source,
            target,
            reaches,
            self.asked,
            str(self._more.get("on", "")),
            int(self._more.get("version", 0)),
            float(self._more.get("within", 0.0)),
            self._or_refused,
        )

    def take(self, word: str) -> None:
        port = _PORT.fullmatch(word)
        if port:
            number = int(port[2])
            if not 1 <= number <= 65535:  # noqa: PLR2004
                raise BadValue(f"{quoted(word)} is not a port", "ports are 1 to 65535: tcp/22")
            self._set(CheckSpec(What(port[1]), number))
        elif _URL.fullmatch(word):
            self._set(CheckSpec(What.HTTP, 0, word))
        elif word in {"ipv4", "ipv6"}:
            self._more["version"] = int(word[-1])
        else:
            self._take_pair(word)

    def _take_pair(self, word: str) -> None:
        match word:
            case "dns":
                self._set(CheckSpec(What.DNS, 0, self._next(word, _DNS, "dns example.org")))
            case "status":
                self._take_status()
            case "on":
                self._more["on"] = self._next(word, _NAME, "on lan")
            case "within":
                self._more["within"] = self._within()
            case "or":
                self._next(word, re.compile("refused"), "a -/> b tcp/22 or refused")
                self._or_refused = True
            case "mtu":
                self._set(CheckSpec(What.MTU, self._mtu()))
            case "throughput" | "latency" | "loss":
                self._set(CheckSpec(What(word), self._limit(word)))
            case _:
                raise BadValue(
                    f"{quoted(word)} means nothing in a check",
                    f"{meant(word, _WORDS)}write tcp/22, udp/53, http://…, dns NAME, mtu 1500, "
                    "throughput > 1gbit, latency < 5ms, loss < 1%, ipv4, ipv6, on NETWORK, "
                    "within 10s or, after -/>, or refused",
                )

    def _take_status(self) -> None:
        if self.asked.what is not What.HTTP:
            raise BadValue(
                "status goes with a URL", "write it as in: web1 -> http://10.0.0.1/ status 200"
            )
        number = float(self._next("status", _STATUS, "status 200"))
        self.asked = CheckSpec(What.HTTP, number, self.asked.text)

    def _set(self, asked: CheckSpec) -> None:
        if self.asked.what is not What.PING:
            raise BadValue(
                f"{quoted(self._text)} asks for two things", "write a line for each of them"
            )
        self.asked = asked

    def _mtu(self) -> float:
        value = int(self._next("mtu", _BYTES, "mtu 1500"))
        if not _LEAST_MTU <= value <= _MOST_MTU:
            raise BadValue(f"mtu {value} is not a valid packet size", "write mtu 68 to mtu 65535")
        return value

    def _limit(self, word: str) -> float:
        sign, reader, example = _LIMITS[word]
        # "loss <1%" is as good as "loss < 1%".
        if self.left and self.left[0].startswith(sign) and len(self.left[0]) > 1:
            self.left[0] = self.left[0][1:]
        elif not self.left or self.left.pop(0) != sign:
            raise BadValue(f"{quoted(self._text)} has no limit", f"write it as in: {example}")
        value = self._read(reader, example)
        if word == "loss" and not 0 < value <= 1:
            raise BadValue(
                f"loss < {value * 100:g}% is not a valid limit", "write a share above 0%: loss < 1%"
            )
        return value

    def _within(self) -> float:
        value = self._read(units.seconds, "within 10s")
        if not 0 < value <= _MOST_WITHIN_S:
            raise BadValue(
                f"within {value:g}s is not a valid deadline", "write up to 600s: within 10s"
            )
        return value

    def _read(self, reader: Callable[[str], float | None], example: str) -> float:
        word = self.left.pop(0) if self.left else ""
        value = reader(word)
        if value is None:
            raise BadValue(
                f"{quoted(word)} is not a valid value here", f"write it as in: {example}"
            )
        return value

    def _next(self, word: str, pattern: "re.Pattern[str]", example: str) -> str:
        value = self.left.pop(0) if self.left else ""
        if not pattern.fullmatch(value):
            raise BadValue(f"{quoted(value)} is nothing for {word}", f"write it as in: {example}")
        return value
