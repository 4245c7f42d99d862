"""vmnet as a fork of a process that has imported it: the same program, without its imports.

A command takes some 0.5 s of processor time to import its modules, and tests run thousands. So each
test process has one server (forks.py), which has imported all of vmnet and waits; a command is a
fork of it, with its own command line, environment, working folder, standard streams and namespaces,
that runs `provisioner.__main__`, ends as Python does, and gets signals as any other process. Where
something else would be another Python from its beginning (its user, its options, its terminal),
another Python is started.
"""

import atexit
import marshal
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NUMBER = struct.Struct("=i")
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Fork:
    """The words of a vmnet command, and where it runs; by default where the test does.

    `netns` names a network namespace, entered as by `ip netns exec`; `holder` is the pid of a
    process whose mounts, network and host name are taken, as by `nsenter -m -n -u`.
    """

    words: tuple[str, ...]
    netns: str = ""
    holder: int = 0


class Forked:
    """A command that was begun, with the methods of `subprocess.Popen`."""

    def __init__(self, pid: int, handle: int, ended: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._handle = handle
        self._ended = ended
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return its status if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        poller = select.poll()
        with self._lock:
            if self.returncode is not None:
                return self.returncode
            poller.register(self._ended, select.POLLIN)
            if not poller.poll(None if timeout is None else max(0.0, timeout) * 1000):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            told = self._ended.recv(NUMBER.size)
            assert told, "the server of forks has ended"
            self.returncode = os.waitstatus_to_exitcode(NUMBER.unpack(told)[0])
            self._ended.close()
            os.close(self._handle)
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal; nothing when it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """End it."""
        self.send_signal(signal.SIGTERM)


_servers: set[int] = set()


def serves(pid: int) -> bool:
    """Return whether a process is this one's server or a keeper, which is not for long.

    They are in the namespace that the first command was begun in.
    """
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return True  # it has ended meanwhile
    return not _servers.isdisjoint((pid, int(parent)))


@cache
def _server() -> str:
    """Start the process whose forks are commands, which ends with this one; return its socket."""
    folder = tempfile.TemporaryDirectory(prefix="vmnet-forks-")
    place = f"{folder.name}/socket"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(place)
    listening.listen(64)
    ours, theirs = socket.socketpair()
    with listening, theirs:
        numbers = listening.fileno(), theirs.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.framework.forks", *map(str, numbers)],
            cwd=_REPOSITORY,
            stdin=subprocess.DEVNULL,
            pass_fds=numbers,
            env=os.environ | {"PYDANTIC_DISABLE_PLUGINS": "__all__"},
        )
    _servers.add(process.pid)

    def end() -> None:
        ours.close()
        process.wait()
        folder.cleanup()

    atexit.register(end)
    return place


def program() -> tuple[str, ...]:
    """Return the words that run vmnet as a fork, wherever they are run.

    They stand for `python -m provisioner`, and become that where a fork would not be the same.
    """
    return sys.executable, "-I", "-S", str(Path(__file__).with_name("forked_program.py")), _server()


def begun(fork: Fork, cwd: Path, env: dict[str, str], streams: Sequence[int]) -> Forked | None:
    """Begin a vmnet command with these standard streams; None: it would not be the same."""
    ended = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ended.connect(_server())
    asked = {"words": fork.words, "netns": fork.netns, "holder": fork.holder}
    asked |= {"cwd": str(cwd), "env": env}
    socket.send_fds(ended, [marshal.dumps(asked)], [*streams])
    told, handles, _, _ = socket.recv_fds(ended, NUMBER.size, 1)
    if not handles:
        ended.close()
        return None
    os.set_inheritable(handles[0], False)  # noqa: FBT003
    return Forked(NUMBER.unpack(told)[0], handles[0], ended)
