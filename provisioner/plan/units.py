"""Times, rates and shares with their units, as checks and the command line spell them."""

import re

from provisioner.pattern import pattern

_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,3})?)"
_RATE = pattern(_NUMBER + r"([kmg])bit(?:/s)?", re.IGNORECASE)
TIME = pattern(_NUMBER + r"(us|ms|s)")
PERCENT = pattern(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
_BIT = {"k": 1e3, "m": 1e6, "g": 1e9}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def rate_bit(text: str) -> float | None:
    """Parse 10mbit or 1.5Gbit/s to bit/s; None for other text."""
    found = _RATE.fullmatch(text)
    return float(found[1]) * _BIT[found[2].lower()] if found else None


def seconds(text: str) -> float | None:
    """Parse 20ms, 1.5s or 100us to seconds; None for other text."""
    found = TIME.fullmatch(text)
    return float(found[1]) * _SECONDS[found[2]] if found else None


def share(text: str) -> float | None:
    """Parse 5% or 0.1% to a share of 1; None for other text, the sign left out among it."""
    found = PERCENT.fullmatch(text)
    return float(found[1]) / 100 if found else None
