"""Times as people write and read them: 2h, 3 d."""

from typing import Final

from provisioner.pattern import pattern
from provisioner.plan.scalars import BadValue, quoted

_FORM = pattern(r"([0-9]{1,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_S: Final = 366 * 86400
_WORDS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def seconds(text: str) -> int:
    """Parse 90s, 30m, 2h or 7d to seconds. Raises BadValue."""
    found = _FORM.fullmatch(text)
    value = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < value <= _MOST_S:
        raise BadValue(f"{quoted(text)} is not a time", "write 30m, 2h or 7d: up to 366d")
    return value


def until(now: int, ttl_s: int, before: int) -> int:
    """Return until when a plan that is brought up now is up, in seconds since 1970; 0 for ever.

    A new time begins now; without one, the expiry of before stays, but not one that is over.
    """
    if ttl_s:
        return now + ttl_s
    return before if before > now else 0


def span(seconds: int) -> str:
    """Return a time for people, in its two largest units: 1 h 30 min."""
    left = max(0, seconds)
    for at, (word, unit) in enumerate(_WORDS):
        if left >= unit:
            whole, rest = divmod(left, unit)
            below = _WORDS[at + 1 : at + 2]
            parts = [f"{whole} {word}"]
            parts += [f"{rest // one} {name}" for name, one in below if rest // one]
            return " ".join(parts)
    return "0 s"
