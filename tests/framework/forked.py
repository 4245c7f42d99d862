"""vmnet as a fork of a process that has imported it: the same program, without its imports.

A command takes some 0.5 s of processor time to import its modules, and tests run thousands. So each
test process has one server, which has imported all of vmnet and waits; a command is a fork of it,
with its own command line, environment, working folder, standard streams and namespaces, that runs
`provisioner.__main__`, ends as Python does, and gets signals as any other process. What needs
another Python from its very beginning (its user, its options, its root) is started with `Lab.argv`.
"""

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

_REPOSITORY = Path(__file__).parents[2]
_PROGRAM = _REPOSITORY / "provisioner/__main__.py"
_LIBC = ctypes.CDLL(None, use_errno=True)
_LARGEST = 1 << 20
_ANSWER = struct.Struct("=i")
# Of linux/sched.h and linux/mount.h.
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWNET = 0x20000, 0x4000000, 0x40000000
_MS_REC, _MS_SLAVE, _MNT_DETACH = 0x4000, 0x80000, 2
# What Python, or a library while it is imported, reads: a fork has that of the server.
_STARTING = (
    *("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_"),
    *("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH", "_TYPER", "ANSIBLE_"),
)


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
            told = self._ended.recv(_ANSWER.size)
            assert told, "the server of forks has ended"
            self.returncode = os.waitstatus_to_exitcode(_ANSWER.unpack(told)[0])
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


class _Server:
    """The process whose forks are commands, which ends with this one."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
        self._socket = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=_REPOSITORY,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=os.environ | {"PYDANTIC_DISABLE_PLUGINS": "__all__"},
            )
        self._lock = threading.Lock()
        atexit.register(self._end)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()

    def begin(self, fork: Fork, cwd: Path, env: dict[str, str], streams: Sequence[int]) -> Forked:
        """Begin a command with these standard streams."""
        ended, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        asked = {"fork": asdict(fork), "cwd": str(cwd), "env": env}
        with theirs, self._lock:
            socket.send_fds(self._socket, [json.dumps(asked).encode()], [theirs.fileno(), *streams])
        told, handles, _, _ = socket.recv_fds(ended, _ANSWER.size, 1)
        assert handles, "the server of forks has ended"
        os.set_inheritable(handles[0], False)  # noqa: FBT003
        return Forked(_ANSWER.unpack(told)[0], handles[0], ended)


_servers: list[_Server] = []
_starting = threading.Lock()


def can_be(env: dict[str, str]) -> bool:
    """Return whether a fork of the server would begin as a Python with that environment does."""

    def own(variables: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
        return {
            name: value
            for name, value in variables.items()
            if name.startswith(_STARTING) and name != "PYTHONPATH"
        }

    return own(env) == own(os.environ)


def begun(fork: Fork, cwd: Path, env: dict[str, str], streams: Sequence[int]) -> Forked:
    """Begin a vmnet command with these standard streams."""
    with _starting:
        if not _servers:
            _servers.append(_Server())
    return _servers[0].begin(fork, cwd, env, streams)


# As the server


def _imported() -> None:
    """Import all of vmnet, and let no collection of garbage write to its pages."""
    import provisioner

    for module in pkgutil.walk_packages(provisioner.__path__, "provisioner."):
        if not module.name.startswith(("provisioner.testing", "provisioner.host.template")):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def serve(number: int) -> None:
    """Fork for each question; return in a fork, to run its command."""
    asking = socket.socket(fileno=number)
    # Of a terminal's Ctrl-C the commands get theirs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(asking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not asking:
                    _tell_end(selector, *children.pop(key.fd), key.fd)
                    continue
                text, fds, _, _ = socket.recv_fds(asking, _LARGEST, 4)
                if not text:
                    os._exit(0)  # whoever asked has ended
                pid = os.fork()
                if not pid:
                    selector.close()
                    for handle, (_, ended) in children.items():
                        os.close(handle)
                        ended.close()
                    asking.close()
                    os.close(fds[0])
                    _become(json.loads(text), fds[1:])
                    return
                ended, handle = socket.socket(fileno=fds[0]), os.pidfd_open(pid)
                for fd in fds[1:]:
                    os.close(fd)
                children[handle] = pid, ended
                selector.register(handle, selectors.EVENT_READ)
                with suppress(OSError):
                    socket.send_fds(ended, [_ANSWER.pack(pid)], [handle])


def _tell_end(
    selector: selectors.BaseSelector, pid: int, ended: socket.socket, handle: int
) -> None:
    selector.unregister(handle)
    _, status = os.waitpid(pid, 0)
    os.close(handle)
    with ended, suppress(OSError):
        ended.send(_ANSWER.pack(status))


def _become(asked: dict[str, Any], fds: list[int]) -> None:
    """Take the namespaces, streams, environment and words of a command."""
    fork = Fork(**asked["fork"])
    _enter(fork)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        setattr(sys, name, _stream(getattr(sys, name), number, mode))
        setattr(sys, f"__{name}__", getattr(sys, name))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = [str(_PROGRAM), *fork.words]


def _stream(first: io.TextIOWrapper, number: int, mode: str) -> io.TextIOWrapper:
    """Open a standard stream as Python does while it starts."""
    raw = io.FileIO(number, mode, closefd=False)
    buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer,
        encoding=first.encoding,
        errors=first.errors,
        line_buffering=number == 2 or (number == 1 and raw.isatty()),
    )


def _enter(fork: Fork) -> None:
    """Enter the namespaces of a command."""
    if fork.holder:
        kinds = {"mnt": _CLONE_NEWNS, "net": _CLONE_NEWNET, "uts": _CLONE_NEWUTS}
        found = [(f"/proc/{fork.holder}/ns/{name}", kind) for name, kind in kinds.items()]
    else:
        found = [(f"/run/netns/{fork.netns}", _CLONE_NEWNET)] if fork.netns else []
    for handle, kind in [(os.open(path, os.O_RDONLY), kind) for path, kind in found]:
        _call("setns", handle, kind)
        os.close(handle)
    if fork.netns:  # /sys shows the devices of the namespace that it was mounted in
        _call("unshare", _CLONE_NEWNS)
        _call("mount", b"", b"/", b"none", _MS_SLAVE | _MS_REC, None)
        _call("umount2", b"/sys", _MNT_DETACH)
        _call("mount", fork.netns.encode(), b"/sys", b"sysfs", 0, None)


def _call(name: str, *arguments: object) -> None:
    if getattr(_LIBC, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def main() -> NoReturn:
    """Serve; as a fork, run its command."""
    _imported()
    serve(int(sys.argv[1]))
    program = importlib.import_module("provisioner.__main__")
    sys.modules["__main__"] = program  # by which typer knows its name
    program.main()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
