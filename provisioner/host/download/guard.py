"""Connections under guard: whom they really reach is looked at before a byte is sent.

urllib3 knows no proxies of the environment; the standard library does.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket
from typing import TYPE_CHECKING
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from provisioner.errors import VmnetError
from provisioner.host.download.deadline import Watchdog
from provisioner.host.download.limits import Failed
from provisioner.image import redirects
from provisioner.image.redirects import Scope
from provisioner.image.source import Url

if TYPE_CHECKING:
    from urllib3 import HTTPResponse, PoolManager
    from urllib3.connection import HTTPConnection

_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})


class Guard:
    """Looks at each new connection of one download before anything is sent over it."""

    def __init__(self) -> None:
        self.first: Scope | None = None

    def enter(self, url: Url, dog: Watchdog) -> None:
        """Come to the next address."""
        self.url = url
        self.dog = dog

    def accept(self, line: socket, *, by_proxy: bool) -> socket:
        """Judge the address that the connection really goes to: names may be made to lie."""
        self.dog.watch(line)
        try:
            if not by_proxy:
                self.judge(line.getpeername()[0])
        except BaseException:
            line.close()
            raise
        return line

    def judge(self, address: str) -> None:
        """Refuse an address that redirects have no business with; the first one decides."""
        here = redirects.scope(address)
        if self.first is None:
            self.first = here
        elif not redirects.may_meet(self.first, here):
            raise Failed(redirects.led_inside(self.url, address))

    def judge_name(self) -> None:
        """Judge what a proxy will be asked for; where a name leads, only the proxy knows."""
        host = self.url.host.rstrip(".")
        try:
            self.judge("127.0.0.1" if host in _LOCAL_NAMES else host)
        except ValueError:
            self.first = self.first or Scope.PUBLIC


@contextmanager
def pools_for(url: Url, guard: Guard) -> Iterator["PoolManager"]:
    """Give urllib3's pools, with our guard in every connection."""
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    proxy = _proxy(url)

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket:
            return guard.accept(super()._new_conn(), by_proxy=bool(proxy))

        def getresponse(self) -> "HTTPResponse":  # type: ignore[override]
            with _closed_if_refused(self):
                return super().getresponse()

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket:
            return guard.accept(super()._new_conn(), by_proxy=bool(proxy))

        def getresponse(self) -> "HTTPResponse":  # type: ignore[override]
            with _closed_if_refused(self):
                return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    if proxy:
        guard.judge_name()
    with _manager(proxy) as pools:
        pools.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
        yield pools


@contextmanager
def _closed_if_refused(connection: "HTTPConnection") -> Iterator[None]:
    """Close the socket of a connection whose reply is refused.

    urllib3 raises InvalidHeader for a head whose lengths differ (HTTPResponse._init_length) and
    forgets the reply then, which holds the socket until the next garbage collection.
    """
    line = connection.sock
    try:
        yield
    except Exception:
        if line is not None and line.fileno() >= 0:
            os.close(line.detach())
        raise


def _manager(proxy: str) -> "PoolManager":
    """Trust the system's certificates, or those of SSL_CERT_FILE and SSL_CERT_DIR."""
    from urllib3 import PoolManager, ProxyManager
    from urllib3.exceptions import HTTPError
    from urllib3.util import make_headers, parse_url

    context = ssl.create_default_context()
    if not proxy:
        return PoolManager(ssl_context=context)
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
    """Give the proxy that the environment names for an address, or nothing."""
    proxies = getproxies()
    _, host, port = url.origin
    proxy = proxies.get(url.scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(host if ":" in host else f"{host}:{port}"):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"
