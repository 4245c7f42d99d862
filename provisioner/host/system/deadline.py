"""The deadline of the request that this thread works on; whatever it waits for ends by then."""

import threading
import time
from typing import Final

_LEAST_S: Final = 2.0
"""Seconds that one wait has in any case: a step that is reached late is not failed for that."""

_request: Final = threading.local()


def begin(within_s: float) -> None:
    """Set the deadline of this thread's request to `within_s` seconds from now."""
    _request.end = time.monotonic() + within_s


def left_s(most_s: float) -> float:
    """Return how many seconds one wait may last: `most_s`, or less if the request ends before."""
    end: float | None = getattr(_request, "end", None)
    if end is None:
        return most_s
    return min(most_s, max(_LEAST_S, end - time.monotonic()))
