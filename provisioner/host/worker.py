"""The process that touches the machine, and the way to speak to it.

Three processes: vmnet itself, a reaper, a worker. The worker is a process of its own since the
embedded libvirt driver allows one root per process and is poisoned for good by one failed open. The
reaper between them is the worker's child subreaper (prctl(2)): QEMU goes into the background, and
libvirt waits until a QEMU that it has killed is reaped, which a slow init makes last for seconds.
It has to be a process of its own too: waiting for any child inside the worker would take libvirt's
own children away from libvirt. When vmnet is killed, both die with it; the guests live on.
"""

import ctypes
import os
import pickle
import queue
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from provisioner.errors import VmnetError
from provisioner.interrupts import held

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_HEADER = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a VM: "started", "agent" (its guest agent came up), "stopped"."""

    vm: str
    kind: str
    detail: str = ""


class _Wire:
    """Whole pickled values over a socket; both ends are this program, forked from one process."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, value: object) -> None:
        data = pickle.dumps(value)
        with self._lock:
            self._sock.sendall(_HEADER.pack(len(data)) + data)

    def receive(self) -> Any:
        """Give the next value; EOFError when the other end is gone."""
        (length,) = _HEADER.unpack(self._read(_HEADER.size))
        return pickle.loads(self._read(length))  # noqa: S301  (our own fork wrote it)

    def _read(self, n: int) -> bytes:
        data = bytearray()
        while len(data) < n:
            part = self._sock.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def close(self) -> None:
        self._sock.close()


class Pending:
    """The answer to a call that is under way."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def settle(self, value: object, error: BaseException | None) -> None:
        """Set the answer, once."""
        self._value, self._error = value, error
        self._done.set()

    def wait(self) -> None:
        """Wait until there is an answer, whatever it is."""
        self._done.wait()

    def result(self, timeout_s: float | None = None) -> Any:
        """Wait for the answer, at most `timeout_s` seconds; TimeoutError after that."""
        if not self._done.wait(timeout_s):
            raise TimeoutError
        if self._error:
            raise self._error
        return self._value


class Worker:
    """The worker as vmnet sees it: calls that run side by side, and a queue of events."""

    def __init__(self, wire: _Wire, reaper: int) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._wire = wire
        self._reaper = reaper
        self._pending: dict[int, Pending] = {}
        self._lock = threading.Lock()
        self._next = 0
        self._gone = False
        self._listener: threading.Thread | None = None

    def call(self, name: str, *args: object) -> Pending:
        """Start a function of host.machine in the worker."""
        pending = Pending()
        # Half a request would leave the worker waiting for the rest for ever.
        with held():
            with self._lock:
                if not self._listener:
                    # Not before the first call: a fork must not find threads.
                    self._listener = threading.Thread(target=self._listen, daemon=True)
                    self._listener.start()
                self._next += 1
                number = self._next
                self._pending[number] = pending
            try:
                self._wire.send((number, name, args))
            except OSError:
                self._lose()
        return pending

    def do(self, name: str, *args: object, timeout_s: float | None = None) -> Any:
        """Call and wait."""
        return self.call(name, *args).result(timeout_s)

    def _listen(self) -> None:
        while True:
            try:
                number, value, error = self._wire.receive()
            except (EOFError, OSError):
                self._lose()
                return
            if number is None:
                self.events.put(value)
            else:
                with self._lock:
                    pending = self._pending.pop(number)
                pending.settle(value, error)

    def _lose(self) -> None:
        with self._lock:
            left, self._pending = list(self._pending.values()), {}
        for pending in left:
            pending.settle(
                None,
                VmnetError(
                    "vmnet's worker process ended unexpectedly",
                    fix="run the command again: it goes on where this one stopped",
                ),
            )

    def close(self) -> None:
        """Let the worker finish what it is doing, and wait for its end."""
        if self._gone:
            return
        self._gone = True
        with suppress(OSError):  # it may be gone already, which is what we want
            self._wire.send((0, "", ()))
        os.waitpid(self._reaper, 0)
        self._wire.close()


def start(serve: Callable[[], dict[str, Callable[..., object]]]) -> Worker:
    """Fork the reaper and the worker; `serve`, called in the worker, gives what can be called.

    Must be called before this process has threads.
    """
    ours, theirs = socket.socketpair()
    me = os.getpid()
    reaper = os.fork()
    if reaper == 0:
        ours.close()
        _reap(theirs, serve, me)
    theirs.close()
    return Worker(_Wire(ours), reaper)


def _reap(sock: socket.socket, serve: Callable[[], Any], parent: int) -> None:
    """Be the subreaper: fork the worker and reap whatever is orphaned below, at once."""
    # A session of its own: Ctrl-C is for vmnet, which then lets the worker finish its step.
    os.setsid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before we could ask to die with it
    me = os.getpid()
    worker = os.fork()
    if worker == 0:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == me:
            _work(_Wire(sock), serve)
        os._exit(0)
    sock.close()
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _work(wire: _Wire, serve: Callable[[], dict[str, Callable[..., object]]]) -> None:
    global _events  # noqa: PLW0603  (one per process, set once at its birth)
    _events = wire
    functions = serve()
    running: list[threading.Thread] = []
    while True:
        try:
            number, name, args = wire.receive()
        except (EOFError, OSError):
            break
        if not name:
            break
        thread = threading.Thread(
            target=_answer, args=(wire, number, functions[name], args), daemon=True
        )
        thread.start()
        running = [t for t in running if t.is_alive()] + [thread]
    for thread in running:
        thread.join(timeout=10)
    if "close" in functions:
        functions["close"]()


def _answer(wire: _Wire, number: int, function: Callable[..., object], args: Any) -> None:
    try:
        value, error = function(*args), None
    except Exception as caught:  # noqa: BLE001  (told in vmnet's own process, traceback and all)
        value, error = None, _portable(caught)
    with suppress(OSError):  # vmnet may be gone: there is nobody to tell
        wire.send((number, value, error))


def _portable(error: Exception) -> Exception:
    import traceback

    if isinstance(error, VmnetError | OSError | TimeoutError):
        return error
    return RuntimeError("".join(traceback.format_exception(error)))


_events: _Wire | None = None


def tell(event: Event) -> None:
    """Send an event from the worker to vmnet."""
    if _events:
        with suppress(OSError):  # vmnet may be gone: there is nobody to tell
            _events.send((None, event, None))
