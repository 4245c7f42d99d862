"""An HTTP server of a few lines that says and sends whatever a test wants, over TLS or plain."""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import Queue

import trustme

PUBLIC = "192.31.196.1"
"""Of the AS112 service, which only answers that it knows nothing: public, yet nobody's host."""
HOSTS = ("127.0.0.1", "localhost", "images.example", "10.9.8.7", "169.254.169.254", PUBLIC)


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    line: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]


@dataclass
class Talk:
    """One connection, its request read, its reply still to be sent; `number` counts from 1."""

    asked: Asked
    number: int
    connection: socket.socket
    stopped: threading.Event

    def send(self, *parts: bytes | str) -> None:
        for part in parts:
            self.connection.sendall(part.encode() if isinstance(part, str) else part)

    def drip(self, data: bytes, every_s: float) -> None:
        """Send a byte at a time until all is sent or nobody listens."""
        for byte in data:
            self.send(bytes([byte]))
            if self.stopped.wait(every_s):
                return

    def hold(self) -> None:
        """Keep the connection open and silent until the server ends."""
        self.stopped.wait(60)


Script = Callable[[Talk], None]


@dataclass
class Liar:
    """A server that is running, and what it was asked so far."""

    listener: socket.socket
    script: Script
    context: ssl.SSLContext | None
    address: str
    port: int
    asked: list[Asked] = field(default_factory=list)
    heard: "Queue[bytes]" = field(default_factory=Queue)
    connections: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str = "/disk.qcow2", host: str | None = None) -> str:
        return f"{'https' if self.context else 'http'}://{host or self.address}:{self.port}{path}"

    def accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.talk, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def talk(self, connection: socket.socket) -> None:
        self.connections += 1
        with contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            connection.settimeout(60)
            with suppress(OSError):  # whoever is lied to goes away
                if self.context:
                    connection = stack.enter_context(
                        self.context.wrap_socket(connection, server_side=True)
                    )
                heard = read_head(connection)
                self.heard.put(heard)
                if heard.endswith(b"\r\n\r\n"):
                    asked = request(heard)
                    with self.lock:
                        self.asked.append(asked)
                        number = len(self.asked)
                    self.script(Talk(asked, number, connection, self.stopped))
                    if isinstance(connection, ssl.SSLSocket):
                        connection.unwrap()


def read_head(connection: socket.socket) -> bytes:
    """Read until a request is complete or the other end has gone."""
    data = b""
    while not data.endswith(b"\r\n\r\n") and (more := connection.recv(65536)):
        data += more
    return data


def request(data: bytes) -> Asked:
    line, *headers = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = (header.split(": ", 1) for header in headers)
    return Asked(line, {name.lower(): value for name, value in pairs})


@contextmanager
def serving(script: Script, address: str = "127.0.0.1", *, tls: bool = True) -> Iterator[Liar]:
    """Run the server in the network namespace of the calling thread."""
    with socket.create_server((address, 0)) as listener:
        port = listener.getsockname()[1]
        liar = Liar(listener, script, server_context() if tls else None, address, port)
        main = threading.Thread(target=liar.accept)
        main.start()
        try:
            yield liar
        finally:
            liar.stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
            main.join()
            for thread in liar.threads:
                thread.join()


def head(status: str = "200 OK", **headers: object) -> str:
    """Word the head of a reply; underscores in names stand for hyphens."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *lines, "", ""])


def whole(body: bytes, etag: str | None = '"1"') -> Script:
    """Serve a file as honest servers do, ranges too."""

    def script(talk: Talk) -> None:
        tagged = {"ETag": etag} if etag else {}
        asked = talk.asked.headers.get("range")
        if asked and talk.asked.headers.get("if-range") == etag:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
            part = body[first:]
            told = f"bytes {first}-{len(body) - 1}/{len(body)}"
            talk.send(
                head("206 Partial", Content_Length=len(part), Content_Range=told, **tagged), part
            )
        else:
            talk.send(head(Content_Length=len(body), **tagged), body)

    return script


def first_then(first: Script, then: Script) -> Script:
    """Answer the first request in one way, and all later ones in another."""
    return lambda talk: (first if talk.number == 1 else then)(talk)


def cut_after(size: int, body: bytes, etag: str | None = '"1"') -> Script:
    """Promise all of a file and break off in the middle."""
    tagged = {"ETag": etag} if etag else {}
    return lambda talk: talk.send(head(Content_Length=len(body), **tagged), body[:size])


def redirecting(location: str, status: str = "302 Found") -> Script:
    return lambda talk: talk.send(head(status, Location=location, Content_Length=0))


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*HOSTS).configure_cert(context)
    return context


def trusting(folder: Path) -> dict[str, str | None]:
    """Give the environment in which these servers are trusted, and no proxy stands between."""
    pem = folder / "authority.pem"
    authority().cert_pem.write_to_path(str(pem))
    proxies = {name: None for name in os.environ if name.lower().endswith("_proxy")}
    return {**proxies, "SSL_CERT_FILE": str(pem), "CI": None}
