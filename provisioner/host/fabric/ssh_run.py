"""Programs run on another host by ssh, their bytes passed as they come."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.fabric.remote.shell import HostShell
from provisioner.host.system.spawned import piped
from provisioner.host.system.spawned.piped import Feed, Piece
from provisioner.text import one_line

_LOST = 255  # what ssh ends with when it has lost the host, and what a program may end with
_MOST = 64 << 10


@dataclass(frozen=True, slots=True)
class ShortAnswer:
    """What a program on another host has answered: its status and its first texts."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Passed:
    """What becomes of a program's bytes; `reader` is the descriptor that its output goes on to."""

    out: Piece
    errors: Piece
    feed: Feed | None = None
    reader: int = -1


def run(host: str, shell: HostShell, line: str, passed: Passed) -> int:
    """Run a line on a host, and return its status; its bytes come and go as `piped.run` tells.

    Raises VmnetError, status HOST_CANNOT, when the host cannot be reached, or is lost meanwhile.
    """
    with _log() as (path, log):
        argv = shell.argv(line, log=path)
        status = piped.run(argv, passed.feed, passed.out, passed.errors, passed.reader)
        said = os.pread(log, _MOST, 0).decode("utf-8", "replace").strip()
    if status == _LOST and said:
        raise VmnetError(
            f"{host} does not answer: {one_line(said.splitlines()[-1])}",
            fix=f"bring {host} back, then run the command again",
            status=Exit.HOST_CANNOT,
        )
    return status


def ask(host: str, shell: HostShell, line: str, data: bytes) -> ShortAnswer:
    """Run a line on a host with data as its input; of what it says, the first 64 KiB are kept."""
    out, errors = bytearray(), bytearray()

    def kept(into: bytearray) -> Piece:
        return lambda piece: into.extend(piece[: _MOST - len(into)])

    passed = Passed(kept(out), kept(errors), lambda stream: stream.write(data))
    status = run(host, shell, line, passed)
    texts = (one.decode("utf-8", "replace") for one in (out, errors))
    return ShortAnswer(status, *texts)


@contextmanager
def _log() -> Iterator[tuple[str, int]]:
    """Give ssh a file for its own messages; it is in memory alone."""
    fd = os.memfd_create("vmnet-ssh")
    try:
        yield f"/proc/{os.getpid()}/fd/{fd}", fd
    finally:
        os.close(fd)
