"""The server of `forked`: it has imported all of vmnet, and forks for each command.

    python -m tests.framework.forks LISTENING ALIVE

are numbers of descriptors: a socket at which commands are asked for, and one that is closed when
whoever has started it ends. Each command has a keeper, its parent, which tells of its end, and ends
it when nobody is left to be told.
"""

import atexit
import ctypes
import gc
import importlib
import io
import marshal
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from tests.framework import forked_program
from tests.framework.forked import NUMBER

_PROGRAM = Path(__file__).parents[2] / "provisioner/__main__.py"
_LIBC = ctypes.CDLL(None, use_errno=True)
_LARGEST = 1 << 20
# Of linux/sched.h and linux/mount.h.
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWNET = 0x20000, 0x4000000, 0x40000000
_CLONE_NEWPID = 0x20000000
_MS_REC, _MS_SLAVE, _MNT_DETACH = 0x4000, 0x80000, 2
_KINDS = (_CLONE_NEWNS, _CLONE_NEWNET, _CLONE_NEWUTS)
# What Python, or a library while it is imported, reads: a fork has that of the server.
_STARTING = (
    *("PYTHON", "LD_", "MALLOC_", "GLIBC_", "GCONV_"),
    *("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH", "_TYPER"),
)
# What changes nothing for vmnet, or is looked at below.
_HARMLESS = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
_STREAMS = 3


def begins_alike(env: dict[str, str]) -> bool:
    """Return whether a fork of this process would begin as a Python with that environment."""
    own, other = (
        {x: v for x, v in each.items() if x.startswith(_STARTING) and x not in _HARMLESS}
        for each in (dict(os.environ), env)
    )
    own.pop("PYDANTIC_DISABLE_PLUGINS", None)
    return (own, _locale(dict(os.environ))) == (other, _locale(env))


def _locale(env: dict[str, str]) -> str:
    """Return the locale of an environment; Python takes UTF-8 for none (PEP 538)."""
    found = next((env[x] for x in ("LC_ALL", "LC_CTYPE", "LANG") if env.get(x)), "C")
    return "C.UTF-8" if found in {"C", "POSIX"} else found


def main() -> NoReturn:
    """Serve; as a fork, run its command."""
    listening, alive = (int(word) for word in sys.argv[1:])
    _import_all()
    _serve(socket.socket(fileno=listening), alive)
    program = importlib.import_module("provisioner.__main__")
    sys.modules["__main__"] = program  # by which typer knows its name
    try:
        program.main()
        status: int | str | None = 0
    except SystemExit as end:
        status = end.code
        if not isinstance(status, int | None):
            raise
    _end(int(status or 0))


def _end(status: int) -> NoReturn:
    """End as Python does, without taking all modules apart, which would copy their pages."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        status = 120
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def _import_all() -> None:
    """Import all of vmnet, and let no collection of garbage write to its pages."""
    import provisioner

    for module in pkgutil.walk_packages(provisioner.__path__, "provisioner."):
        if not module.name.startswith(("provisioner.testing", "provisioner.host.template")):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def _serve(listening: socket.socket, alive: int) -> None:
    """Fork a keeper for each command; return in a command, to run it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the commands get theirs
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for keepers
    poller = select.poll()
    poller.register(listening, select.POLLIN)
    poller.register(alive, select.POLLIN)
    while alive not in {number for number, _ in poller.poll()}:
        asking, _ = listening.accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            os.close(alive)
            return _kept(asking)
        asking.close()
    os._exit(0)


def _kept(asking: socket.socket) -> None:
    """Fork the command that is asked for, and tell of its end; return in it, to run it."""
    text, fds, _, _ = socket.recv_fds(asking, _LARGEST, _STREAMS + len(_KINDS) + 1)
    if not text:
        os._exit(0)  # who has asked has ended
    asked = marshal.loads(text)  # noqa: S302  (of a test)
    rights = asked.get("rights")
    if not begins_alike(asked["env"]) or (rights and rights != forked_program.rights()):
        os._exit(0)
    streams, spaces = fds[:_STREAMS], fds[_STREAMS:]
    if len(spaces) > len(_KINDS):
        _call("setns", spaces[-1], _CLONE_NEWPID)  # of children alone
    pid = os.fork()
    if pid:
        for number in fds:
            os.close(number)
        _tell_end(asking, pid)
    asking.close()
    _enter(spaces[: len(_KINDS)], asked.get("netns", ""), asked.get("holder", 0))
    _become(asked, streams)


def _tell_end(asking: socket.socket, pid: int) -> NoReturn:
    """Tell of a command's pid and of its end; kill it when nobody is left to be told."""
    handle = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    poller.register(asking, select.POLLIN)
    with suppress(OSError):
        socket.send_fds(asking, [NUMBER.pack(pid)], [handle])
    if handle not in {number for number, _ in poller.poll()}:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        asking.send(NUMBER.pack(status))
    os._exit(0)


def _enter(spaces: list[int], netns: str, holder: int) -> None:
    """Enter namespaces: some that are open, those of a process, or one as `ip netns exec` does."""
    if holder:
        names = ("mnt", "net", "uts")
        spaces = [os.open(f"/proc/{holder}/ns/{name}", os.O_RDONLY) for name in names]
    for number, kind in zip(spaces, _KINDS[: len(spaces)], strict=True):
        _call("setns", number, kind)
        os.close(number)
    if netns:  # /sys shows the devices of the namespace that it was mounted in
        handle = os.open(f"/run/netns/{netns}", os.O_RDONLY)
        _call("setns", handle, _CLONE_NEWNET)
        os.close(handle)
        _call("unshare", _CLONE_NEWNS)
        _call("mount", b"", b"/", b"none", _MS_SLAVE | _MS_REC, None)
        _call("umount2", b"/sys", _MNT_DETACH)
        _call("mount", netns.encode(), b"/sys", b"sysfs", 0, None)


def _call(name: str, *arguments: object) -> None:
    if getattr(_LIBC, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _become(asked: dict[str, Any], streams: list[int]) -> None:
    """Take the streams, environment, folder and words of a command."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        unbuffered = mode == "w" and bool(asked["env"].get("PYTHONUNBUFFERED"))
        setattr(sys, name, _stream(getattr(sys, name), number, mode, unbuffered=unbuffered))
        setattr(sys, f"__{name}__", getattr(sys, name))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in asked.get("ignored", ()):
        signal.signal(number, signal.SIG_IGN)
    os.umask(asked.get("umask", 0o22))
    os.environ.clear()
    os.environ.update(asked["env"])
    if not {"LC_ALL", "LC_CTYPE", "LANG"} & os.environ.keys():
        os.environ["LC_CTYPE"] = "C.UTF-8"  # as Python sets it
    os.chdir(asked["cwd"])
    sys.argv = [str(_PROGRAM), *asked["words"]]


def _stream(
    first: io.TextIOWrapper, number: int, mode: str, *, unbuffered: bool
) -> io.TextIOWrapper:
    """Open a standard stream as Python does while it starts."""
    raw = io.FileIO(number, mode, closefd=False)
    if unbuffered:
        inner: io.FileIO | io.BufferedReader | io.BufferedWriter = raw
    else:
        inner = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        inner,
        encoding=first.encoding,
        errors=first.errors,
        line_buffering=number == 2 or (number == 1 and raw.isatty()),
        write_through=unbuffered,
    )


if __name__ == "__main__":
    main()
