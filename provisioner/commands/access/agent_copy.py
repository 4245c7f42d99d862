"""One file to a guest or from it, piece by piece, through its agent."""

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Concatenate, Final, ParamSpec, TypeVar

from provisioner.commands.access.own_file import arriving, opened, refuse_large
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.guest.agent import READ
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.system.worker import Worker
from provisioner.text import one_line

P = ParamSpec("P")
R = TypeVar("R")
_RUN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class AgentCopy:
    """Copies files to a VM and from it; `progress` is called with the bytes done, and of how many.

    Of how many is 0 when it is unknown.
    """

    worker: Worker
    vm: str
    progress: Callable[[int, int], None]

    def put(self, here: str, there: str) -> None:
        """Copy a file of this host into the guest, where its name appears when it is whole.

        `there` may be a folder, or "" for the agent's own. Raises VmnetError when it cannot.
        """
        with opened(here) as (file, found):
            final = self._destination(Path(here).name, there)
            draft = f"{final}.vmnet-part"
            self._send(file, draft, found.st_size)
        self._succeeds("chmod", f"{stat.S_IMODE(found.st_mode) & 0o777:o}", "--", draft)
        if not self._succeeds("mv", "-f", "--", draft, final):
            raise VmnetError(
                f"the guest could not give the copy its name: it is {one_line(draft)} in there",
                fix=f"look whether {one_line(final)} is a folder, or may not be written",
            )

    def get(self, there: str, here: str) -> None:
        """Copy a file of the guest to this host, where its name appears when it is whole.

        `here` may be a folder. Raises VmnetError when it cannot.
        """
        with self._opened(there, "r") as handle, arriving(here, there) as file:
            self._receive(handle, there, file)

    def _send(self, file: IO[bytes], draft: str, size: int) -> None:
        done = 0
        try:
            with self._opened(draft, "w") as handle:
                while data := file.read(READ):
                    done += len(data)
                    refuse_large(done, draft)  # it grows while it is read
                    self._call(Guests.file_write, handle, data)
                    self.progress(done, size)
        except BaseException:
            self._succeeds("rm", "-f", "--", draft)
            raise

    def _receive(self, handle: int, there: str, file: IO[bytes]) -> None:
        done, last = 0, False
        while not last:
            data, last = self._call(Guests.file_read, handle)
            done += len(data)
            refuse_large(done, there)
            file.write(data)
            self.progress(done, 0)

    def _call(
        self, method: Callable[Concatenate[Guests, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return self.worker.do(MACHINE.guest, self.vm, method, *args, **kwargs)

    def _succeeds(self, *argv: str) -> bool:
        """Return whether a program inside ends well; False too where none may be run."""
        with suppress(VmnetError):
            return self._call(Guests.run, ["/usr/bin/env", *argv], _RUN_S).status == 0
        return False

    def _destination(self, name: str, there: str) -> str:
        """Return the path of the copy: in a folder of the guest's it has the name of its source."""
        if not there or there.endswith("/") or self._succeeds("test", "-d", there):
            return f"{there.rstrip('/')}/{name}" if there else name
        return there

    @contextmanager
    def _opened(self, path: str, mode: str) -> Iterator[int]:
        handle = self._call(Guests.file_open, path, mode)
        try:
            yield handle
        except BaseException:
            with suppress(VmnetError):
                self._call(Guests.file_close, handle)
            raise
        self._call(Guests.file_close, handle)  # a disk that is full may be reported here only
