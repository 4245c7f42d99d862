"""What a download may take, and how the failure of one attempt is reported."""

import time
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.image.source import Url
from provisioner.text import one_line

_FIX = "try again later, or name another mirror"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a download may take at most: bytes, seconds, and connections that went on.

    A server that sends less than `least_bytes` in `idle_s` seconds counts as silent. Without `near`
    the first address, too, may be neither this host's nor of its link (169.254.169.254).
    """

    max_bytes: int = 32 << 30
    connect_s: float = 15
    idle_s: float = 30
    least_bytes: int = 4096
    total_s: float = 4 * 3600
    tries: int = 20
    near: bool = True


SMALL: Final = Limits(max_bytes=1 << 20, idle_s=20, least_bytes=1, total_s=60)
"""For digest lists and signatures."""

OF_PLAN: Final = Limits(near=False)
"""For what a plan names: somebody else may have written it."""


class AttemptFailed(Exception):  # noqa: N818  (not an error to show: another mirror may have it)
    """One attempt at one address has failed; `passing`: the connection, not the answer, did."""

    def __init__(self, error: VmnetError, *, passing: bool = False) -> None:
        super().__init__(error.what)
        self.error = error
        self.passing = passing


def failed(url: Url, why: str, *, passing: bool = False, fix: str = _FIX) -> AttemptFailed:
    """Return a failure at an address; `why` may be the server's words."""
    return AttemptFailed(VmnetError(f"{url}: {one_line(why, 300)}", fix=fix), passing=passing)


class Pace:
    """Until when one download may wait for its server: a deadline for each read and for all.

    A socket's own timeout starts anew with each byte, so a server that sends a byte a second
    would be waited for without end.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._end = time.monotonic() + limits.total_s
        self._due = self._end
        self._came = 0

    def allow(self, seconds: float) -> None:
        """Set the deadline of what comes next."""
        self._due = min(self._end, time.monotonic() + seconds)
        self._came = 0

    def came(self, size: int) -> None:
        """Count bytes of the body; enough of them earn more time."""
        self._came += size
        if self._came >= self.limits.least_bytes:
            self.allow(self.limits.idle_s)

    def left_s(self) -> float:
        """Return how long to wait for the next bytes. Raises TimeoutError at the deadline."""
        left = self._due - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def too_slow(self, url: Url) -> AttemptFailed:
        """Return the failure of a server that has missed the deadline."""
        if time.monotonic() >= self._end:
            return failed(url, f"it is not done after {self.limits.total_s:g} s")
        why = f"it sends less than {self.limits.least_bytes} bytes in {self.limits.idle_s:g} s"
        return failed(url, why, passing=True)
