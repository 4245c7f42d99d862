"""Processes that plans have started: QEMUs and dnsmasqs, by what their command lines say."""

import os
import time
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path

from provisioner.host.libvirt import qemu_process
from provisioner.host.system.processes import network_namespace
from provisioner.inventory.found import Qemu, Server
from provisioner.pattern import pattern

_UUID = pattern(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CONFIG = b"--conf-file="


def here() -> int:
    """Return the number of this network namespace."""
    return namespace("self")


def namespace(process: int | str) -> int:
    """Return the number of a process's network namespace, 0 when it is hidden from us."""
    try:
        return network_namespace(process)
    except OSError:
        return 0


def read(states: Collection[Path]) -> tuple[list[Qemu], list[Server]]:
    """Return the QEMUs of libvirt, and the dnsmasqs whose configuration is below a state folder."""
    qemus: list[Qemu] = []
    servers: list[Server] = []
    for pid, words in _command_lines():
        name = words[0].rpartition(b"/")[2]
        if name.startswith(b"qemu-system-") or b"-uuid" in words:
            qemus += _qemu(pid, words)
        elif name == b"dnsmasq":
            servers += _server(pid, words, states)
    return qemus, servers


def sockets() -> frozenset[str]:
    """Return the paths of the Unix sockets of this network namespace; abstract ones begin with @.

    Those of processes in other PID namespaces are among them.
    """
    try:
        text = Path("/proc/thread-self/net/unix").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    lines = (line.split(maxsplit=7) for line in text.splitlines()[1:])
    return frozenset(parts[7] for parts in lines if len(parts) > 7)  # noqa: PLR2004  (the path)


def _command_lines() -> Iterator[tuple[int, list[bytes]]]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            words = Path(entry.path, "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        except OSError:
            continue  # it has ended meanwhile
        if words[0]:
            yield int(entry.name), words


def _qemu(pid: int, words: list[bytes]) -> Iterator[Qemu]:
    named = [w.split(b",")[0] for w in words if w.startswith(b"guest=")]
    uuids = [after for word, after in pairwise(words) if word == b"-uuid"]
    if not named or not uuids or not _UUID.fullmatch(uuids[0]):
        return
    domain = named[0].removeprefix(b"guest=").decode(errors="replace")
    age_s = qemu_process.age_s(pid)
    since = int(time.time() - age_s) if age_s else 0
    state = qemu_process.process_state(pid)
    if state and state != "Z":
        yield Qemu(pid, domain, uuids[0].decode(), state, since, namespace(pid))


def _server(pid: int, words: list[bytes], states: Collection[Path]) -> Iterator[Server]:
    for word in words:
        if word.startswith(_CONFIG):
            config = Path(os.fsdecode(word.removeprefix(_CONFIG)))
            for state in states:
                if config.parent.parent.parent == state and config.parent.name == "dhcp":
                    yield Server(pid, str(config), config.parent.parent.name, namespace(pid))
