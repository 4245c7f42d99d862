"""The memory of an emulated guest, copied to another host while the guest runs.

QEMU logs which pages a guest writes meanwhile, and copies those again. When QEMU reads that log
while an emulated processor runs, the processor may have looked up an address just before and go on
by that: what it writes there is not logged, the guest has old memory on the other host and crashes.
So an emulated guest is halted whenever QEMU reads the log: when copying begins, and from before the
first round of it has ended until the guest runs on the other host.

While the guest is being halted, or let run, QEMU is held: it copies next to nothing.
"""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

START_MIB: Final = 1
"""How many MiB/s are copied at first, until the guest has been let run."""

NO_DOWNTIME_MS: Final = 0
"""What QEMU may stop a guest for by itself: it never does so while the guest writes anything."""

_REST: Final = 8 << 20  # bytes of the first round that are copied while the guest is halted
_LOOK_S: Final = 0.004
_HELD: Final = 100  # bytes a second, which is a page or two in each tenth of one


class Rounds:
    """Lets an emulated guest run during the first round of copying, in a thread of its own.

    Within the block libvirt migrates the guest, which it halts first. Where the guest was not
    halted in time the migration is aborted, and `is_late` says so.
    """

    def __init__(self, uri: str, name: str, bytes_per_s: int) -> None:
        """Take libvirt's address, the domain's name, and how many bytes/s may be copied.

        It has a connection of its own: where two threads share one, an answer may lie there until
        libvirt's next sign of life, which comes every five seconds. Raises libvirtError.
        """
        import libvirt

        self.is_late = False
        self._connection = libvirt.open(uri)
        self._dom = self._connection.lookupByName(name)
        self._bytes_per_s = bytes_per_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._conduct, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look for the first round."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Look no more."""
        self._is_over.set()
        self._thread.join()
        self._connection.close()

    def _conduct(self) -> None:
        import libvirt

        try:
            self._in_rounds()
        except libvirt.libvirtError:
            self._abort()  # unless it has ended, which is why QEMU cannot be asked

    def _in_rounds(self) -> None:
        """Let the guest run in the first round. Raises libvirtError."""
        if not self._until(_has_begun):
            return
        self._copy_at(_HELD)
        if self._is_in_first_round():
            self._ask("cont")
        self._copy_at(self._bytes_per_s)
        if not self._until(_is_nearly_over):
            return
        self._copy_at(_HELD)
        if not self._is_in_first_round():
            self._abort()
            return
        self._ask("stop")
        self._copy_at(self._bytes_per_s)

    def _until(self, is_so: Callable[[dict[str, Any]], bool]) -> bool:
        """Wait until something is so of the migration; return whether it is not over before."""
        while not self._is_over.wait(_LOOK_S):
            if is_so(self._ask("query-migrate")):
                return True
        return False

    def _is_in_first_round(self) -> bool:
        found = self._ask("query-migrate")
        return _has_begun(found) and not _has_second_round(found)

    def _copy_at(self, bytes_per_s: int) -> None:
        self._ask("migrate-set-parameters", {"max-bandwidth": bytes_per_s})

    def _abort(self) -> None:
        import libvirt

        with suppress(libvirt.libvirtError):  # it is over
            self._dom.abortJob()
            self.is_late = True

    def _ask(self, command: str, arguments: dict[str, object] | None = None) -> dict[str, Any]:
        import libvirt_qemu

        question = {"execute": command, **({"arguments": arguments} if arguments else {})}
        answer = libvirt_qemu.qemuMonitorCommand(self._dom, json.dumps(question), 0)
        found: dict[str, Any] = json.loads(answer).get("return") or {}
        return found


def _has_begun(found: dict[str, Any]) -> bool:
    return found.get("status") == "active"  # before, it may be of how the guest has come here


def _has_second_round(found: dict[str, Any]) -> bool:
    return int(found.get("ram", {}).get("dirty-sync-count", 0)) > 1


def _is_nearly_over(found: dict[str, Any]) -> bool:
    left = int(found.get("ram", {}).get("remaining", 0))
    return not _has_begun(found) or _has_second_round(found) or left <= _REST
