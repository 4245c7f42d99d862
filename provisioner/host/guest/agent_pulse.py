"""Ask the agents of a plan's guests for a sign of life while no command has its libvirt open.

An embedded libvirt is open only while a command runs. In between the agents' sockets are nobody's:
whoever holds the plan's lock may speak there. A daemon's libvirt is asked itself.
"""

import json
import select
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.libvirt import daemon_agents
from provisioner.host.libvirt.session import choose_connection, is_embedded
from provisioner.host.system import locks, paths

_QUESTION: Final = b'{"execute": "guest-sync", "arguments": {"id": %d}}\n'
"""As libvirt asks. The answer to guest-sync-delimited begins with a byte that is not JSON: one that
comes late, to a libvirt that has been opened meanwhile, makes it give the agent up for good
(libvirt 9.0, qemuAgentIOProcessLine)."""

_MOST: Final = 64 << 10  # bytes of an answer: the guest writes them


def silent(plan: str, wish: str, vms: Collection[str], within_s: float) -> set[str]:
    """Return those of a plan's VMs whose agents do not answer within `within_s` seconds.

    `wish` is the connection as `choose_connection` takes it. Nobody is silent while another command
    holds the plan's lock: its own questions would be in the way.
    """
    if not vms:
        return set()
    uri = choose_connection(wish, plan).what
    if not is_embedded(uri):
        return daemon_agents.silent(uri, plan, vms, within_s)
    with _free(plan) as is_free:
        if not is_free:
            return set()
        return unanswered({vm: _socket_of(plan, vm) for vm in vms}, within_s)


def unanswered(sockets: Mapping[str, Path | None], within_s: float) -> set[str]:
    """Ask agents at their sockets, side by side; return those of whom no answer has come.

    One without a socket, or whose socket takes nobody, is left out: it has ended, or never came.
    """
    with ExitStack() as stack:
        waiting: dict[int, _Asked] = {}
        poll = select.poll()
        for number, (vm, path) in enumerate(sockets.items(), 1):
            opened = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
            opened.settimeout(0)
            with suppress(OSError):
                if path is not None:
                    opened.connect(str(path))
                    opened.send(_QUESTION % number)
                    waiting[opened.fileno()] = _Asked(vm, opened, number)
                    poll.register(opened, select.POLLIN)
        end = time.monotonic() + within_s
        while waiting and (left_s := end - time.monotonic()) > 0:
            for number, _ in poll.poll(left_s * 1000):
                if waiting[number].has_answered():
                    poll.unregister(number)
                    del waiting[number]
        return {asked.vm for asked in waiting.values()}


class _Asked:
    """An agent that was asked."""

    def __init__(self, vm: str, opened: socket.socket, number: int) -> None:
        self.vm = vm
        self._opened = opened
        self._number = number
        self._said = b""

    def has_answered(self) -> bool:
        """Read; return whether that was the answer, or there will be none to wait for."""
        try:
            said = self._opened.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True  # QEMU has ended
        self._said = (self._said + said)[-_MOST:]
        return not said or any(map(self._is_mine, self._said.splitlines()))

    def _is_mine(self, text: bytes) -> bool:
        with suppress(ValueError, TypeError, KeyError):
            return bool(json.loads(text)["return"] == self._number)
        return False


@contextmanager
def _free(plan: str) -> Iterator[bool]:
    """Hold a plan's lock if nobody else does; return whether it is held."""
    with ExitStack() as stack:
        doing = f"check --watch {plan}"
        try:
            lock = paths.lock_file(plan)
            stack.enter_context(locks.held(lock, doing, timeout_s=0, notify=lambda _: None))
        except VmnetError:
            yield False
        else:
            yield True


def _socket_of(plan: str, vm: str) -> Path | None:
    """Return an agent's socket, as libvirt has recorded it; None when it has no connected one."""
    name = naming.domain(plan, vm)
    try:
        status = ET.parse(paths.libvirt_root(plan) / "run" / "qemu" / f"{name}.xml")  # noqa: S314  (libvirt's own)
    except (OSError, ET.ParseError):
        return None
    for channel in status.iterfind("domain/devices/channel"):
        target, source = channel.find("target"), channel.find("source")
        if target is None or source is None or target.get("name") != "org.qemu.guest_agent.0":
            continue
        path = source.get("path")
        return Path(path) if path and target.get("state") == "connected" else None
    return None
