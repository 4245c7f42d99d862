"""The one door to HTTP: one GET by urllib3, its redirects checked, its time bounded.

Whom a connection reaches is checked before a byte is sent, and each of its reads ends. urllib3 is
large: this module is imported where a request is made.
"""

import http.client
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import field
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPResponse,
    HTTPSConnectionPool,
    PoolManager,
    ProxyManager,
    Timeout,
)
from urllib3 import exceptions as of
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import make_headers, parse_url

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.download.limits import AttemptFailed, Limits, Pace, failed
from provisioner.image.http import (
    LOCAL_NAMES,
    REDIRECTS,
    Scope,
    follow,
    may_meet,
    near,
    refused,
    scope,
)
from provisioner.image.source import Url

_CHUNK = 1 << 18


@dataclass(slots=True)
class Reply:
    """A reply whose head has come; `url` is where it came from in the end."""

    url: Url
    status: int
    headers: Mapping[str, str]
    _response: BaseHTTPResponse = field(repr=False)
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

    The head is complete, the body has yet to come, undecoded. Raises AttemptFailed for everything
    that keeps vmnet from having a reply, redirects that lead astray among it.
    """
    guard = _RedirectGuard(near=pace.limits.near)
    here, hops = url, 0
    while True:
        login = url.login if here.origin == url.origin else ""
        own = make_headers(user_agent="vmnet", basic_auth=login or None)
        own["accept-encoding"] = "identity"
        with (
            _pools_for(here, guard, pace) as pools,
            closing(_asked(pools, here, {**headers, **own}, pace)) as response,
        ):
            if response.status not in REDIRECTS:
                yield Reply(here, response.status, response.headers, response, pace)
                return
            location = response.headers.get("Location")
        try:
            here, hops = follow(here, location, hops), hops + 1
        except VmnetError as error:
            raise AttemptFailed(error) from error


def _asked(
    pools: PoolManager, url: Url, headers: Mapping[str, str], pace: Pace
) -> BaseHTTPResponse:
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
    try:
        yield
    except (of.ReadTimeoutError, TimeoutError) as error:
        raise pace.too_slow(url) from error
    except (of.HTTPError, OSError, ValueError) as error:
        why, passing = _why(error, pace.limits)
        raise failed(url, why, passing=passing) from error


def _why(error: Exception, limits: Limits) -> tuple[str, bool]:
    """Return what happened, and whether going on where it stopped may help."""
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


class _RedirectGuard:
    """Refuses addresses that redirects have no business with; the first address decides."""

    def __init__(self, *, near: bool) -> None:
        self._near = near
        self._first: Scope | None = None

    def check(self, url: Url, address: str) -> None:
        """Check an address that is connected to. Raises AttemptFailed, ValueError for a name."""
        here = scope(address)
        if self._first is None:
            if not self._near and here >= Scope.LINK:
                raise AttemptFailed(near(url))
            self._first = here
        elif not may_meet(self._first, here):
            what = f"is where a redirect led, and {address} is not a public address"
            raise AttemptFailed(refused(url, what))

    def check_name(self, url: Url) -> None:
        """Check what a proxy will be asked for; where a name leads, only the proxy knows."""
        host = url.host.rstrip(".")
        try:
            self.check(url, "127.0.0.1" if host in LOCAL_NAMES else host)
        except ValueError:
            self._first = self._first or Scope.PUBLIC


class _PacedSocket(socket.socket):
    """A socket whose every read ends at the download's deadline."""

    pace: Pace

    def recv(self, *args: int) -> bytes:
        self.settimeout(self.pace.left_s())
        return super().recv(*args)

    def recv_into(self, *args: object) -> int:
        self.settimeout(self.pace.left_s())
        return super().recv_into(*args)  # type: ignore[arg-type]


def _pools_for(url: Url, guard: _RedirectGuard, pace: Pace) -> PoolManager:
    """Return urllib3's pools for one request. Raises AttemptFailed for a refused address.

    Names may resolve to anything: the address of the connection itself is checked. Trusted are the
    system's certificates, or those of SSL_CERT_FILE and SSL_CERT_DIR.
    """
    proxy = _proxy(url)
    if proxy:
        guard.check_name(url)

    class Plain(_PacedSocket):
        pass

    class Tls(_PacedSocket, ssl.SSLSocket):
        pass

    Plain.pace = Tls.pace = pace

    class Http(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            line = Plain(made.family, made.type, made.proto, fileno=made.detach())
            try:
                line.settimeout(pace.left_s())
                if not proxy:
                    guard.check(url, line.getpeername()[0])
            except BaseException:
                line.close()
                raise
            return line

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            # urllib3 raises InvalidHeader for a head whose lengths differ and forgets the reply
            # then (HTTPResponse._init_length), which holds the socket until garbage is collected.
            line = self.sock
            try:
                return super().getresponse()
            except Exception:
                if line is not None and line.fileno() >= 0:
                    os.close(line.detach())
                raise

    class Https(Http, HTTPSConnection):
        pass

    class HttpPool(HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(HTTPSConnectionPool):
        ConnectionCls = Https

    context = ssl.create_default_context()
    context.sslsocket_class = Tls
    pools = _through(proxy, context) if proxy else PoolManager(ssl_context=context)
    pools.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}
    return pools


def _through(proxy: str, context: ssl.SSLContext) -> PoolManager:
    try:
        login = parse_url(proxy).auth
        headers = make_headers(proxy_basic_auth=unquote(login) if login else None)
        return ProxyManager(proxy, proxy_headers=headers, ssl_context=context)
    except of.HTTPError as error:
        raise VmnetError(
            "the proxy that the environment names cannot be used",
            fix="set https_proxy to http://HOST:PORT, or list the host in no_proxy",
        ) from error


def _proxy(url: Url) -> str:
    """Return the proxy that the environment names for an address, or ""."""
    proxies = getproxies()
    _, host, port = url.origin
    proxy = proxies.get(url.scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(host if ":" in host else f"{host}:{port}"):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"
