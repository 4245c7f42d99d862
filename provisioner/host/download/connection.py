"""urllib3's connections, guarded: whom they reach is checked before a byte is sent, reads end.

urllib3 itself knows no proxies of the environment; the standard library does.
"""

import os
import socket
import ssl
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import make_headers, parse_url

from provisioner.errors import VmnetError
from provisioner.host.download.limits import AttemptFailed, Pace
from provisioner.image import http
from provisioner.image.http import Scope
from provisioner.image.source import Url

_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})


class RedirectGuard:
    """Refuses addresses that redirects have no business with; the first address decides."""

    def __init__(self) -> None:
        self._first: Scope | None = None

    def check(self, url: Url, address: str) -> None:
        """Check an address that is connected to. Raises AttemptFailed, ValueError for a name."""
        here = http.scope(address)
        if self._first is None:
            self._first = here
        elif not http.may_meet(self._first, here):
            what = f"is where a redirect led, and {address} is not a public address"
            raise AttemptFailed(http.refused(url, what))

    def check_name(self, url: Url) -> None:
        """Check what a proxy will be asked for; where a name leads, only the proxy knows."""
        host = url.host.rstrip(".")
        try:
            self.check(url, "127.0.0.1" if host in _LOCAL_NAMES else host)
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


def pools_for(url: Url, guard: RedirectGuard, pace: Pace) -> PoolManager:
    """Return urllib3's pools for one request. Raises AttemptFailed for a refused address.

    Names may be made to lie: the address of the connection itself is checked. Trusted are the
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
    except HTTPError as error:
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
