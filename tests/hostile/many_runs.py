"""Many runs of vmnet in one fresh namespace, by forks of one process: `python -m` this, as root.

Standard input is JSON: `runs`, each a folder and the words of a command line; `canaries`, files
that nobody may open. Standard output is JSON: of each run its status and what it wrote; which
canaries were opened, whoever did it (inotify(7); O_PATH does not count); and whether anybody has
connected to port 8999 of this host. Each run has everything that `python -m provisioner` does, but
the imports.
"""

import ctypes
import importlib
import json
import os
import pkgutil
import select
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PORT = 8999
_OPENED = 0x1 | 0x2 | 0x20  # IN_ACCESS, IN_MODIFY, IN_OPEN
_AT_ONCE = 8
_EVENT = struct.Struct("iIII")


def main() -> None:
    """Run what is asked for."""
    asked = json.load(sys.stdin)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    servers = [_server(family) for family in (socket.AF_INET, socket.AF_INET6)]
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    names = {libc.inotify_add_watch(watch, b.encode(), _OPENED): b for b in asked["canaries"]}
    _import_all()
    runs = _run_all(asked["runs"])
    opened = sorted({names[event] for event in _events(watch)})
    connected = bool(select.select(servers, [], [], 0)[0])
    print(json.dumps({"runs": runs, "opened": opened, "connected": connected}))  # noqa: T201


def _server(family: socket.AddressFamily) -> socket.socket:
    return socket.create_server(("", PORT), family=family)


def _events(watch: int) -> list[int]:
    try:
        data = os.read(watch, 1 << 20)
    except BlockingIOError:
        return []
    found, at = [], 0
    while at < len(data):
        number, _, _, length = _EVENT.unpack_from(data, at)
        found.append(number)
        at += _EVENT.size + length
    return found


def _import_all() -> None:
    import provisioner

    for module in pkgutil.walk_packages(provisioner.__path__, "provisioner."):
        if not module.name.endswith((".__main__", ".child", ".fence")):
            importlib.import_module(module.name)


def _run_all(runs: list[tuple[str, list[str]]]) -> list[dict[str, Any]]:
    """Run some at once: most of a run is waiting for its own processes to end."""
    files = [(tempfile.TemporaryFile(), tempfile.TemporaryFile()) for _ in runs]  # noqa: SIM115
    status: dict[int, int] = {}
    running: dict[int, int] = {}
    for number, (folder, words) in enumerate(runs):
        if len(running) == _AT_ONCE:
            _one_ended(running, status)
        out, err = (file.fileno() for file in files[number])
        pid = os.fork()
        if not pid:
            _become(folder, words, out, err)
        running[pid] = number
    while running:
        _one_ended(running, status)
    found = []
    for number, pair in enumerate(files):
        out_text, err_text = (os.pread(file.fileno(), 1 << 20, 0).decode() for file in pair)
        found.append({"status": status[number], "out": out_text, "err": err_text})
    return found


def _one_ended(running: dict[int, int], status: dict[int, int]) -> None:
    pid, ended = os.wait()
    if pid in running:
        status[running.pop(pid)] = os.waitstatus_to_exitcode(ended)


def _become(folder: str, words: list[str], out: int, err: int) -> None:
    status = 1
    try:
        os.chdir(folder)
        for number, file in ((0, os.open("/dev/null", os.O_RDONLY)), (1, out), (2, err)):
            os.dup2(file, number)
        sys.argv = ["vmnet", *words]
        from provisioner.__main__ import main as vmnet

        vmnet()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001  (whatever it is, it is told)
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
