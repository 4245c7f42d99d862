"""The process that touches the machine, and typed calls to it.

Three processes: vmnet itself, a reaper, a worker. The worker is a process of its own since the
embedded libvirt driver allows one root per process and is poisoned for good by one failed open. The
reaper between them is the worker's child subreaper (prctl(2)): QEMU goes into the background, and
libvirt waits until a QEMU that it has killed is reaped, which a slow init makes last for seconds.
It has to be a process of its own too: waiting for any child inside the worker would take libvirt's
own children away from libvirt. When vmnet is killed, both die with it; the guests live on.
"""

import os
import queue
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.event_log import LOG
from provisioner.host.channel import Channel
from provisioner.host.system import deadline, processes
from provisioner.signals import deferred

P = ParamSpec("P")
R = TypeVar("R")

_PID = struct.Struct("=i")
_STAYS: Final = b" stays"
_LIMIT_S: Final = 60.0
_FINISH_S: Final = 10.0  # for changes that are under way when vmnet ends
_CLOSE_S: Final = 15.0
_CLOSE_STUCK_S: Final = 0.5  # when a call was given up: it is not worth waiting for
_REAPED_S: Final = 2.0
_SEND_S: Final = 10
_LEAST_S: Final = 0.1
_GRACE_S: Final = 1.0  # for what was given up inside the worker to be reported from there


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a VM.

    "started", "agent" (its guest agent came up), "stopped", "held" (it could not be let go).
    """

    vm: str
    kind: str
    detail: str = ""


_LIMITS: Final[dict[Callable[..., object], tuple[float, str]]] = {}


def limit(within_s: float = _LIMIT_S, late: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Set after how many seconds a call of a function is given up, and the message for that.

    Each part of its work has a shorter limit of its own, so this one is met only by a call of
    libvirt's or of the kernel's that never returns.
    """

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        _LIMITS[function] = within_s, late
        return function

    return mark


class Call(Future[R]):
    """The result of a call that is under way; the call has `within_s` seconds."""

    def __init__(self, late: str, within_s: float) -> None:
        super().__init__()
        self.given_up = False
        self._late = late
        self._within_s = within_s
        self._end = time.monotonic() + within_s

    def result(self, timeout: float | None = None) -> R:
        """Return the result, or raise the error that the function has raised.

        Raises TimeoutError after `timeout` seconds when they are given, and VmnetError when the
        call's own time is over.
        """
        left_s = max(0.0, self._end - time.monotonic())
        try:
            return super().result(left_s if timeout is None else min(timeout, left_s))
        except TimeoutError:
            if self.done():
                raise
            self.given_up = True
            if timeout is not None:
                raise
        raise VmnetError(
            f"{self._late} after {self._within_s:.3g} s",
            fix="look for a QEMU that is stopped (state T in: ps -C qemu-system-x86_64 -o "
            "pid,stat,args) and for a libvirt daemon that hangs, then run the command again",
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls of functions in the worker, which have `within_s` seconds if that is given.

    Functions, arguments and results are pickled: functions by their names, so they must be found in
    their modules, as must objects whose methods are called.
    """

    worker: "Worker"
    within_s: float | None = None

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Start a call; any number of them run side by side."""
        return self.worker.send(function, args, kwargs, self.within_s)

    def do(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call and wait for the result; raises what the function raises, or VmnetError."""
        return self.call(function, *args, **kwargs).result()


class Worker:
    """The worker as vmnet sees it: calls that run side by side, and a queue of events.

    No call is waited for after `until`, the time.monotonic() at which the command must be over.
    """

    def __init__(self, channel: Channel, reaper: int, pid_pipe: int) -> None:
        """Use `channel`; the pid of the worker can be read from `pid_pipe`."""
        self.until: float | None = None
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._channel = channel
        self._reaper = reaper
        self._pid_pipe = pid_pipe
        self._pending: dict[int, Call[Any]] = {}
        self._lock = threading.Lock()
        self._next = 0
        self._gone = self._is_over = self._closed = False
        self._listener: threading.Thread | None = None

    def within(self, within_s: float | None) -> Caller:
        """Return calls that have `within_s` seconds, or their usual time for None."""
        return Caller(self, within_s)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Start a call, as `Caller.call`."""
        return Caller(self).call(function, *args, **kwargs)

    def do(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call and wait, as `Caller.do`."""
        return Caller(self).do(function, *args, **kwargs)

    def send(
        self,
        function: Callable[..., R],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        within_s: float | None,
    ) -> Call[R]:
        """Send a call to the worker."""
        key = getattr(function, "__func__", function)  # of a method
        limit_s, late = _LIMITS.get(key, (_LIMIT_S, ""))
        limit_s = limit_s if within_s is None else within_s
        given_s = limit_s + _GRACE_S
        if self.until is not None:
            left_s = max(_LEAST_S, self.until - time.monotonic())
            limit_s, given_s = min(limit_s, left_s), min(given_s, left_s)
        call = Call[R](late or f'the host has not answered "{function.__name__}"', given_s)
        # Half a request would leave the worker waiting for the rest for ever.
        with deferred():
            with self._lock:
                if not self._listener:
                    # Not before the first call: a fork must not find threads.
                    self._listener = threading.Thread(target=self._listen, daemon=True)
                    self._listener.start()
                self._next += 1
                number = self._next
                self._pending[number] = call
            try:
                self._channel.send((number, function, args, kwargs, limit_s))
            except OSError:
                self._lose()
        return call

    def _listen(self) -> None:
        while True:
            try:
                number, value, error = self._channel.receive()
            except (EOFError, OSError):
                self._lose()
                return
            if number is None:
                self.events.put(value)
                continue
            with self._lock:
                call = self._pending.pop(number)
            if error is None:
                call.set_result(value)
            else:
                call.set_exception(error)

    def _lose(self) -> None:
        with self._lock:
            left, self._pending = list(self._pending.values()), {}
        for call in left:
            call.set_exception(
                VmnetError(
                    "vmnet's worker process ended unexpectedly",
                    fix="run the command again: it goes on where this one stopped",
                )
            )

    @contextmanager
    def limited(self, until: float | None) -> Iterator[None]:
        """Wait for no call after `until` while the block runs; None: no limit."""
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
            self._channel.send(None)
        with self._lock:
            stuck = any(call.given_up for call in self._pending.values())
        if not self._has_ended(_CLOSE_STUCK_S if stuck else _CLOSE_S):
            self.kill()
            self._has_ended(_FINISH_S)
        self._closed = True
        os.close(self._pid_pipe)
        self._channel.close()

    def kill(self) -> int:
        """Kill the worker and the programs that it waits for; return the pid of its reaper.

        QEMUs that run are not among them: they are the reaper's children, and outlive it.
        """
        if self._closed:
            return self._reaper
        readable, _, _ = select.select([self._pid_pipe], [], [], 0)
        pid = os.read(self._pid_pipe, _PID.size) if readable else b""
        if len(pid) == _PID.size:
            (worker,) = _PID.unpack(pid)
            programs = processes.pids_of(worker)
            processes.kill([worker])
            processes.kill_programs(programs)
            # Only when the reaper has reaped the worker is libvirt's root free.
            with suppress(ProcessLookupError):
                os.kill(self._reaper, signal.SIGCONT)
            if self._has_ended(_REAPED_S):
                return self._reaper
        processes.kill([self._reaper])
        return self._reaper

    def _has_ended(self, within_s: float) -> bool:
        """Wait at most `within_s` seconds until the reaper has reaped the worker, or has ended."""
        if self._is_over:
            return True
        poll = select.poll()
        poll.register(self._pid_pipe, 0)
        if not poll.poll(within_s * 1000):  # POLLHUP: the reaper has let go of the other end
            return False
        self._is_over = True
        if not os.read(self._pid_pipe, _PID.size + len(_STAYS)).endswith(_STAYS):
            processes.ended(self._reaper, _REAPED_S)
        return True


Serve = Callable[[], AbstractContextManager[object]]
"""What is entered in the worker before the first call, and left after the last."""


def start(serve: Serve) -> Worker:
    """Fork the reaper and the worker. Must be called before this process has threads."""
    ours, theirs = sockets()
    pid_read, pid_write = os.pipe()
    me = os.getpid()
    reaper = os.fork()
    if reaper == 0:
        ours.close()
        os.close(pid_read)
        reap(theirs, serve, me, pid_write)
    theirs.close()
    os.close(pid_write)
    return Worker(Channel(ours), reaper, pid_read)


def sockets() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel, the first for vmnet itself."""
    ours, theirs = socket.socketpair()
    # A worker that is stopped reads nothing: nobody waits for it to do so for ever.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _SEND_S, 0))
    return ours, theirs


def reap(sock: socket.socket, serve: Serve, parent: int, pid_write: int) -> NoReturn:
    """Be the subreaper: fork the worker and reap whatever is orphaned below, at once."""
    # A session of its own: Ctrl-C is for vmnet, which then lets the worker finish its step.
    os.setsid()
    processes.die_with(parent)
    processes.adopt_orphans()
    me = os.getpid()
    worker = os.fork()
    if worker == 0:
        os.close(pid_write)
        processes.die_with(me)
        _work(Channel(sock), serve)
        os._exit(0)
    sock.close()
    os.write(pid_write, _PID.pack(worker))
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            break
    if processes.has_children():
        processes.outlive_parent()
        os.write(pid_write, _STAYS)
        os.close(pid_write)  # vmnet waits for it
        processes.stay_for_children()
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _work(channel: Channel, serve: Serve) -> None:
    global _channel  # noqa: PLW0603  (one per process, set once when it starts)
    _channel = channel
    running: list[threading.Thread] = []
    with serve():
        while True:
            try:
                request = channel.receive()
            except (EOFError, OSError):
                break
            if request is None:
                break
            thread = threading.Thread(target=_perform, args=(channel, request), daemon=True)
            thread.start()
            running = [t for t in running if t.is_alive()] + [thread]
        end = time.monotonic() + _FINISH_S
        for thread in running:
            thread.join(max(0.0, end - time.monotonic()))


def _perform(channel: Channel, request: Any) -> None:
    import traceback

    number, function, args, kwargs, within_s = request
    value: object = None
    error: Exception | None = None
    began = time.monotonic()
    deadline.begin(within_s)
    try:
        value = function(*args, **kwargs)
    except (VmnetError, OSError) as caught:
        error = caught
    except Exception:  # noqa: BLE001  (raised in vmnet's own process, with its traceback)
        error = RuntimeError(traceback.format_exc())
    took, said = round(time.monotonic() - began, 3), f"{error}" if error else ""
    LOG.write("debug", "call", function=function.__qualname__, seconds=took, error=said)
    with suppress(OSError):  # vmnet may be gone: there is nobody to answer
        channel.send((number, value, error))


_channel: Channel | None = None


def emit(event: Event) -> None:
    """Send an event from the worker to vmnet."""
    if _channel:
        with suppress(OSError):  # vmnet may be gone: there is nobody to read it
            _channel.send((None, event, None))
