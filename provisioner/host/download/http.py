"""The one door to HTTP: one GET, its redirects judged, its time and its size bounded.

urllib3 is the library: it hands out bodies as they come, undecoded, and lets us look at each
connection before a byte is sent over it.
"""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError
from provisioner.host.download.deadline import Watchdog
from provisioner.host.download.guard import Guard, pools_for
from provisioner.host.download.limits import Clock, Failed, Limits, failed
from provisioner.image import http_reply, redirects
from provisioner.image.http_reply import AskAnew, Begin, Continue, Head, Part, Useless
from provisioner.image.source import Url

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_CHUNK = 1 << 18


@dataclass(slots=True)
class Reply:
    """A reply whose head has come; `url` is where it came from in the end."""

    url: Url
    head: Head
    response: "BaseHTTPResponse" = field(repr=False)
    dog: Watchdog = field(repr=False)
    limits: Limits
    clock: Clock

    def chunks(self) -> Iterator[bytes]:
        """Give the body as it comes.

        Raises Failed when it breaks off, or comes too slowly.
        """
        fresh = 0
        self.dog.allow(min(self.limits.idle_s, self.clock.left))
        with _told(self.url, self.dog, self.limits, self.clock):
            while data := self.response.read1(_CHUNK):
                fresh += len(data)
                if fresh >= self.limits.least_bytes:
                    self.dog.allow(min(self.limits.idle_s, self.clock.left))
                    fresh = 0
                yield data
            if self.dog.bit:  # a body without a length just ends
                raise _slow(self.url, self.limits, self.clock)


def demand_body(reply: Reply) -> None:
    """Refuse a reply that is not a whole file as it stands on the server; raises Failed."""
    match http_reply.meaning(reply.head, Part()):
        case Useless(why) | AskAnew(why):
            raise failed(reply.url, why)
        case Begin() | Continue():
            return


@contextmanager
def get(url: Url, headers: Mapping[str, str], limits: Limits, clock: Clock) -> Iterator[Reply]:
    """Ask for an address and follow where it redirects to.

    The head is complete, the body has yet to come. Raises Failed for everything that keeps vmnet
    from having a reply, redirects that lead astray among it.
    """
    guard = Guard()
    here, hops = url, 0
    while True:
        with Watchdog(min(limits.connect_s + limits.idle_s, clock.left)) as dog:
            guard.enter(here, dog)
            login = url.login if here.origin == url.origin else ""
            with _asked(here, {**headers, **_own_headers(login)}, guard, limits, clock) as response:
                if response.status not in redirects.STATUSES:
                    yield Reply(here, _head(response), response, dog, limits, clock)
                    return
                location = response.headers.get("Location")
        try:
            here, hops = redirects.follow(here, location, hops), hops + 1
        except VmnetError as error:
            raise Failed(error) from error


@contextmanager
def _asked(
    url: Url, headers: Mapping[str, str], guard: Guard, limits: Limits, clock: Clock
) -> Iterator["BaseHTTPResponse"]:
    from urllib3 import Timeout

    with pools_for(url, guard) as pools:
        with _told(url, guard.dog, limits, clock):
            response = pools.request(
                "GET",
                url.bare,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=Timeout(connect=limits.connect_s, read=limits.idle_s),
            )
        try:
            yield response
        finally:
            response.close()


@contextmanager
def _told(url: Url, dog: Watchdog, limits: Limits, clock: Clock) -> Iterator[None]:
    """Turn what the library raises, and what the watchdog cut off, into Failed."""
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        if dog.bit:
            raise _slow(url, limits, clock) from error
        why, passing = _why(error, limits)
        raise failed(url, why, passing=passing) from error


def _slow(url: Url, limits: Limits, clock: Clock) -> Failed:
    if clock.left:
        why = f"it sends less than {limits.least_bytes} bytes in {limits.idle_s:g} s"
    else:
        why = f"it is not done after {limits.total_s:g} s"
    return failed(url, why, passing=bool(clock.left))


def _why(error: Exception, limits: Limits) -> tuple[str, bool]:
    """Say what happened, and whether going on where it stopped may help."""
    from urllib3 import exceptions as of

    inner = error.args[-1] if error.args else None
    silent = f"it sends less than {limits.least_bytes} bytes in {limits.idle_s:g} s"
    cut = http.client.RemoteDisconnected | http.client.IncompleteRead
    told: tuple[tuple[type[Exception], str, bool], ...] = (
        (of.NameResolutionError, "its name cannot be resolved", False),
        (of.NewConnectionError, f"there is no connection: {error.__cause__}", False),
        (of.ConnectTimeoutError, f"there is no connection within {limits.connect_s:g} s", False),
        (of.ReadTimeoutError, silent, True),
        (of.ProxyError, f"the proxy does not connect: {inner}", False),
        (of.IncompleteRead, "the connection broke off", True),
    )
    for kind, why, passing in told:
        if isinstance(error, kind):
            return why, passing
    if not isinstance(error, of.ProtocolError):
        return f"it cannot be fetched: {error}", False
    if isinstance(inner, http.client.HTTPException | ValueError) and not isinstance(inner, cut):
        return f"it does not keep to HTTP: {inner}", False
    return "the connection broke off", True


def _own_headers(login: str) -> dict[str, str]:
    from urllib3.util import make_headers

    return make_headers(user_agent="vmnet", basic_auth=login or None) | {
        "accept-encoding": "identity"
    }


def _head(response: "BaseHTTPResponse") -> Head:
    headers = response.headers
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    return Head(
        response.status,
        length=None if chunked else headers.get("Content-Length"),
        range=headers.get("Content-Range"),
        etag=headers.get("ETag"),
        encoding=headers.get("Content-Encoding"),
        chunked=chunked,
    )
