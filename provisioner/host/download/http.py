"""The one door to HTTP: one GET, its redirects checked, its time bounded.

urllib3 hands out bodies as they come, undecoded; it is imported when the first request is made.
"""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError
from provisioner.host.download.limits import AttemptFailed, Limits, Pace, failed
from provisioner.image.http import REDIRECTS, follow
from provisioner.image.source import Url

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_CHUNK = 1 << 18


@dataclass(slots=True)
class Reply:
    """A reply whose head has come; `url` is where it came from in the end."""

    url: Url
    status: int
    headers: Mapping[str, str]
    _response: "BaseHTTPResponse" = field(repr=False)
    _pace: Pace = field(repr=False)

    def chunks(self) -> Iterator[bytes]:
        """Return the body as it comes. Raises AttemptFailed when it breaks off, or is too slow."""
        self._pace.allow(self._pace.limits.idle_s)
        while True:
            with _failures(self.url, self._pace):
                data = self._response.read1(_CHUNK)
            if not data:
                return
            self._pace.came(len(data))
            yield data


@contextmanager
def get(url: Url, headers: Mapping[str, str], pace: Pace) -> Iterator[Reply]:
    """Ask for an address and follow where it redirects to.

    The head is complete, the body has yet to come. Raises AttemptFailed for everything that keeps
    vmnet from having a reply, redirects that lead astray among it.
    """
    from provisioner.host.download.connection import RedirectGuard, pools_for

    guard = RedirectGuard()
    here, hops = url, 0
    while True:
        login = url.login if here.origin == url.origin else ""
        with pools_for(here, guard, pace) as pools:
            response = _asked(pools, here, {**headers, **_own_headers(login)}, pace)
            try:
                if response.status not in REDIRECTS:
                    yield Reply(here, response.status, response.headers, response, pace)
                    return
                location = response.headers.get("Location")
            finally:
                response.close()
        try:
            here, hops = follow(here, location, hops), hops + 1
        except VmnetError as error:
            raise AttemptFailed(error) from error


def _asked(
    pools: "PoolManager", url: Url, headers: Mapping[str, str], pace: Pace
) -> "BaseHTTPResponse":
    from urllib3 import Timeout

    limits = pace.limits
    pace.allow(limits.connect_s + limits.idle_s)
    with _failures(url, pace):
        return pools.request(
            "GET",
            url.bare,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(connect=limits.connect_s, read=limits.idle_s),
        )


@contextmanager
def _failures(url: Url, pace: Pace) -> Iterator[None]:
    """Turn what the library raises into AttemptFailed."""
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    try:
        yield
    except (ReadTimeoutError, TimeoutError) as error:
        raise pace.too_slow(url) from error
    except (HTTPError, OSError, ValueError) as error:
        why, passing = _why(error, pace.limits)
        raise failed(url, why, passing=passing) from error


def _why(error: Exception, limits: Limits) -> tuple[str, bool]:
    """Return what happened, and whether going on where it stopped may help."""
    from urllib3 import exceptions as of

    inner = error.args[-1] if error.args else None
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (of.NameResolutionError, "its name cannot be resolved"),
        (of.NewConnectionError, f"there is no connection: {error.__cause__}"),
        (of.ConnectTimeoutError, f"there is no connection within {limits.connect_s:g} s"),
        (of.ProxyError, f"the proxy does not connect: {inner}"),
    )
    for kind, why in reasons:
        if isinstance(error, kind):
            return why, False
    if not isinstance(error, of.ProtocolError):  # of which IncompleteRead is one
        return f"it cannot be fetched: {error}", False
    cut = http.client.RemoteDisconnected | http.client.IncompleteRead
    strange = isinstance(inner, http.client.HTTPException | ValueError)
    if strange and not isinstance(inner, cut) and not isinstance(error, of.IncompleteRead):
        return f"it does not keep to HTTP: {inner}", False
    return "the connection broke off", True


def _own_headers(login: str) -> dict[str, str]:
    from urllib3.util import make_headers

    identity = {"accept-encoding": "identity"}
    return make_headers(user_agent="vmnet", basic_auth=login or None) | identity
