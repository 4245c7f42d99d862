"""What a download may take, and how the failure of one attempt is told."""

import time
from dataclasses import dataclass
from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.image.source import Url
from provisioner.text import one_line

_FIX = "try again later, or name another mirror"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a download may take at most: bytes, seconds, and begun-again connections.

    A server that sends less than `least_bytes` in `idle_s` seconds counts as silent.
    """

    max_bytes: int = 32 << 30
    connect_s: float = 15
    idle_s: float = 30
    least_bytes: int = 4096
    total_s: float = 4 * 3600
    tries: int = 20


SMALL: Final = Limits(max_bytes=1 << 20, idle_s=20, least_bytes=1, total_s=60)
"""For digest lists and signatures."""


class Failed(Exception):  # noqa: N818  (not an error to show: another mirror may have the file)
    """One attempt at one address has failed; `passing`: the connection, not the answer, did."""

    def __init__(self, error: VmnetError, *, passing: bool = False) -> None:
        super().__init__(error.what)
        self.error = error
        self.passing = passing


def failed(url: Url, why: str, *, passing: bool = False, fix: str = _FIX) -> Failed:
    """Word a failure at an address; `why` may be the server's words."""
    what = f"{url}: {one_line(why, 300)}"
    return Failed(VmnetError(what, fix=fix, status=Exit.HOST_CANNOT), passing=passing)


@dataclass(slots=True)
class Clock:
    """When all of a download must be done."""

    end: float

    @classmethod
    def of(cls, limits: Limits) -> "Clock":
        """Start it."""
        return cls(time.monotonic() + limits.total_s)

    @property
    def left(self) -> float:
        """Give the seconds left, never less than none."""
        return max(0.0, self.end - time.monotonic())
