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
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from provisioner.errors import VmnetError
from provisioner.host.system import children, deadline
from provisioner.signals import held

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_HEADER = struct.Struct("=I")
_PID = struct.Struct("=i")

_LIMIT_S: Final = 60.0
_LIMITS_S: Final = {
    "open": 120.0,  # an empty cache: libvirt asks QEMU for its capabilities, emulated, for seconds
    "perform": 180.0,  # of its parts a disk has 60 s, a guest that is told of new addresses 70 s
    "guest": 120.0,  # a piece of a file has 35 s, a ping 15 s a try
    "probe": 720.0,  # a plan's check may take 600 s (plan.checks)
    "measure": 180.0,  # all modes of an uplink, one after another
    "libvirt": 120.0,  # the doctor opens libvirt and boots a machine
}
"""Seconds after which a request is given up; each part of its work has a shorter limit of its own.
So these are met only by a call that never returns, of libvirt's or of the kernel's."""

_FINISH_S: Final = 10.0  # for changes that are under way when vmnet ends
_CLOSE_S: Final = 15.0
_CLOSE_STUCK_S: Final = 0.5  # when a request was given up: it is not worth waiting for
_REAPED_S: Final = 2.0
_SEND_S: Final = 10
_LEAST_S: Final = 0.1
_GRACE_S: Final = 1.0  # for what was given up inside the worker to be reported from there

_LATE: Final = {
    "open": "libvirt has not been opened",
    "observe": "libvirt has not listed its domains",
    "perform": "a step was not done",
    "guest": "the guest has not answered",
    "agents": "libvirt has not listed the guests' agents",
}


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
    """The answer to a call that is under way, which has `within_s` seconds."""

    def __init__(self, name: str, within_s: float) -> None:
        self.given_up = False
        self._name = name
        self._within_s = within_s
        self._end = time.monotonic() + within_s
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def settle(self, value: object, error: BaseException | None) -> None:
        """Set the answer, once."""
        self._value, self._error = value, error
        self._done.set()

    def result(self, timeout_s: float | None = None) -> Any:
        """Return the answer, or raise the error that it is.

        Raises TimeoutError after `timeout_s` seconds when they are given, and VmnetError when the
        call's own time is over.
        """
        left_s = max(0.0, self._end - time.monotonic())
        if not self._done.wait(left_s if timeout_s is None else min(timeout_s, left_s)):
            self.given_up = True
            if timeout_s is not None:
                raise TimeoutError
            late = _LATE.get(self._name, f'the host has not answered "{self._name}"')
            raise VmnetError(
                f"{late} after {self._within_s:.3g} s",
                fix="look for a QEMU that is stopped (state T in: ps -C qemu-system-x86_64 -o "
                "pid,stat,args) and for a libvirt daemon that hangs, then run the command again",
            )
        if self._error:
            raise self._error
        return self._value


class Worker:
    """The worker as vmnet sees it: calls that run side by side, and a queue of events.

    No call is waited for after `until`, the time.monotonic() at which the command must be over.
    """

    def __init__(self, wire: _Wire, reaper: int, born: int) -> None:
        """Speak over `wire`; the pid of the worker can be read from the pipe `born`."""
        self.until: float | None = None
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._wire = wire
        self._reaper = reaper
        self._born = born
        self._pending: dict[int, Pending] = {}
        self._lock = threading.Lock()
        self._next = 0
        self._gone = self._closed = False
        self._listener: threading.Thread | None = None

    def call(self, name: str, *args: object, within_s: float | None = None) -> Pending:
        """Start a function of host.machine in the worker; it has `within_s` seconds."""
        limit_s = _LIMITS_S.get(name, _LIMIT_S) if within_s is None else within_s
        given_s = limit_s + _GRACE_S
        if self.until is not None:
            left_s = max(_LEAST_S, self.until - time.monotonic())
            limit_s, given_s = min(limit_s, left_s), min(given_s, left_s)
        pending = Pending(name, given_s)
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
                self._wire.send((number, name, args, limit_s))
            except OSError:
                self._lose()
        return pending

    def do(
        self,
        name: str,
        *args: object,
        timeout_s: float | None = None,
        within_s: float | None = None,
    ) -> Any:
        """Call and wait; the limits are those of `call` and of `Pending.result`."""
        return self.call(name, *args, within_s=within_s).result(timeout_s)

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

    @contextmanager
    def limited(self, until: float | None) -> Iterator[None]:
        """Wait for no call after `until` while the block runs; None is no limit."""
        self.until = until
        try:
            yield
        finally:
            self.until = None

    def close(self) -> None:
        """Let the worker finish what it is doing, and wait for its end.

        One that does not end is killed, with the programs that it waits for. The guests live on.
        """
        if self._gone:
            return
        self._gone = True
        with suppress(OSError):  # it may be gone already, which is what we want
            self._wire.send((0, "", (), 0.0))
        with self._lock:
            stuck = any(pending.given_up for pending in self._pending.values())
        if not children.ended(self._reaper, _CLOSE_STUCK_S if stuck else _CLOSE_S):
            self.kill()
            children.ended(self._reaper, _FINISH_S)
        self._closed = True
        os.close(self._born)
        self._wire.close()

    def kill(self) -> int:
        """Kill the worker and the programs that it waits for; return the pid of its reaper.

        QEMUs that run are not among them: they are the reaper's children, and outlive it.
        """
        if self._closed:
            return self._reaper
        born = os.read(self._born, _PID.size) if select.select([self._born], [], [], 0)[0] else b""
        if len(born) == _PID.size:
            (worker,) = _PID.unpack(born)
            programs = children.of(worker)
            children.kill([worker])
            children.kill_programs(programs)
            # The reaper ends when it has reaped the worker: only then is libvirt's root free.
            with suppress(ProcessLookupError):
                os.kill(self._reaper, signal.SIGCONT)
            if children.ended(self._reaper, _REAPED_S):
                return self._reaper
        children.kill([self._reaper])
        return self._reaper


def start(serve: Callable[[], dict[str, Callable[..., object]]]) -> Worker:
    """Fork the reaper and the worker; `serve`, called in the worker, gives what can be called.

    Must be called before this process has threads.
    """
    ours, theirs = socket.socketpair()
    # A worker that is stopped reads nothing: nobody waits for it to do so for ever.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _SEND_S, 0))
    born, tell_born = os.pipe()
    me = os.getpid()
    reaper = os.fork()
    if reaper == 0:
        ours.close()
        os.close(born)
        _reap(theirs, serve, me, tell_born)
    theirs.close()
    os.close(tell_born)
    return Worker(_Wire(ours), reaper, born)


def _reap(sock: socket.socket, serve: Callable[[], Any], parent: int, tell_born: int) -> None:
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
    os.write(tell_born, _PID.pack(worker))
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
            number, name, args, within_s = wire.receive()
        except (EOFError, OSError):
            break
        if not name:
            break
        thread = threading.Thread(
            target=_answer, args=(wire, number, functions[name], args, within_s), daemon=True
        )
        thread.start()
        running = [t for t in running if t.is_alive()] + [thread]
    end = time.monotonic() + _FINISH_S
    for thread in running:
        thread.join(max(0.0, end - time.monotonic()))
    if "close" in functions:
        functions["close"]()


def _answer(
    wire: _Wire, number: int, function: Callable[..., object], args: Any, within_s: float
) -> None:
    deadline.begin(within_s)
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
