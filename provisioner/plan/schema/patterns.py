"""Patterns as JSON Schema has them: of ECMAScript, anchored."""

import re
from typing import Final

from provisioner.pattern import pattern

_TOKEN = pattern(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|.", re.DOTALL)
_ECMA = {".": r"[\s\S]", r"\Z": "$"}


def ecma(pattern: str) -> str:
    r"""Return a whole pattern of ours, where `.` is any character and `\Z` the end."""
    return f"^(?:{''.join(_ECMA.get(token, token) for token in _TOKEN.findall(pattern))})$"


def caseless(words: tuple[str, ...]) -> str:
    """Return the pattern of any of a few words, in small letters or large ones."""
    return "|".join("".join(map(_either, word)) for word in words)


def _either(letter: str) -> str:
    return f"[{letter.upper()}{letter}]" if letter.isalpha() else letter


def number(low: int, high: int) -> str:
    """Return the pattern of the whole numbers from `low` to `high`, written without zeros first."""
    spans = []
    while len(str(low)) < len(str(high)):
        nines = "9" * len(str(low))
        spans += _span(str(low), nines)
        low = int(nines) + 1
    return f"(?:{'|'.join([*spans, *_span(str(low), str(high))])})"


def _span(low: str, high: str) -> list[str]:
    """Return the patterns of the numbers between two that have equally many digits."""
    if low[:1] == high[:1]:
        return [low[:1] + rest for rest in _span(low[1:], high[1:])] if low else [""]
    free = len(low) - 1
    zeros, nines = "0" * free, "9" * free
    first, last = int(low[0]), int(high[0])
    before: list[str] = []
    after: list[str] = []
    if low[1:] != zeros:
        before = [low[0] + rest for rest in _span(low[1:], nines)]
        first += 1
    if high[1:] != nines:
        after = [high[0] + rest for rest in _span(zeros, high[1:])]
        last -= 1
    digit = f"[{first}-{last}]" if first < last else str(first)
    rest = f"[0-9]{{{free}}}" if free > 1 else "[0-9]" * free
    middle = [digit + rest] if first <= last else []
    return [*before, *middle, *after]


_HEX = "[0-9A-Fa-f]"
_PART = f"{_HEX}{{1,4}}"  # of an IPv6 address, between colons
_PARTS = f"{_PART}(?::{_PART})*"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ANY_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_END = r"(?:[/\s-]|\Z)"

IPV4: Final = rf"(?!(?:0|127)\.|2[3-5][0-9]\.|22[4-9]\.){_ANY_IPV4}"
"""A unicast address: not of networks 0 and 127, nor above 223."""

ANY_IPV6: Final = (
    f"(?:(?:{_PART}:){{6}}(?:{_PART}:{_PART}|{_ANY_IPV4})"
    f"|(?!:*(?:{_HEX}+:+){{7}}{_HEX})(?:{_PARTS})?::(?:(?:{_PART}:)*{_ANY_IPV4}|{_PARTS})?)"
)
"""An address without a zone, of eight parts, or of fewer with `::` in it (RFC 4291, 2.2)."""

_SPECIAL_IPV6 = f"[fF][eE][89abAB]{_HEX}:|[fF]{{2}}{_HEX}{{2}}:|[0:]*:0{{0,3}}[01]?{_END}"
IPV6: Final = f"(?!{_SPECIAL_IPV6}){ANY_IPV6}"
"""A unicast address: neither link-local nor multicast, not the loopback's nor nobody's."""

MAC: Final = rf"(?!00(?:[:-]00){{5}}\Z){_HEX}[02468aceACE](?:[:-]{_HEX}{{2}}){{5}}"
"""A unicast MAC: its group bit is 0, and it is not all zeros."""
