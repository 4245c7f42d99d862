"""Programs that are not trusted: run with nothing of ours, for a while, and heard to a limit."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from provisioner.host.system.programs import not_started


@dataclass(frozen=True, slots=True)
class Held:
    """What a program that is not trusted said before it ended, was `late` or said `too_much`."""

    said: bytes
    returncode: int
    late: bool = False
    too_much: bool = False


def held(argv: Sequence[str], given: bytes, *, deadline_s: float, most_bytes: int) -> Held:
    """Run a program that is not trusted: no environment, a deadline, a limit to what it says.

    It gets `given` as its standard input and nothing else of ours; its messages are thrown away.
    When this returns it is gone, and what it started in its process group is killed. A program that
    has not had a ninth of a processor by its deadline gets three times as long: it is the host that
    is slow then. Raises VmnetError when it cannot be started.
    """
    # A Python with a shared library of its own does not start without this; sudo strips it.
    env = {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
    with os.fdopen(os.memfd_create("given"), "w+b") as source:
        source.write(given)
        source.seek(0)
        try:
            child = subprocess.Popen(
                argv,
                cwd="/",
                env=env,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        except OSError as error:
            raise not_started(argv[0], error) from error
    with child:
        try:
            heard = _heard(child, _Patience(child.pid, time.monotonic(), deadline_s), most_bytes)
        finally:
            # It may have ended, but it is not reaped yet: the number is still that of its group.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    return replace(heard, returncode=child.returncode)


@dataclass(frozen=True, slots=True)
class _Patience:
    """How long a program is waited for."""

    pid: int
    begun: float
    deadline_s: float

    def left_s(self) -> float:
        waited_s = time.monotonic() - self.begun
        if waited_s < self.deadline_s:
            return self.deadline_s - waited_s
        # clock_getcpuclockid(3), which Python does not have: MAKE_PROCESS_CPUCLOCK of the kernel.
        processor_s = time.clock_gettime(~self.pid << 3 | 2)
        return 0 if processor_s > self.deadline_s / 9 else min(0.1, self.deadline_s * 3 - waited_s)

    def until(self, readable: int) -> bool:
        """Wait until a file descriptor has something to say; False when it takes too long."""
        poller = select.poll()
        poller.register(readable, select.POLLIN)
        while (left_s := self.left_s()) > 0:
            if poller.poll(left_s * 1000):
                return True
        return False


def _heard(child: "subprocess.Popen[bytes]", patience: _Patience, most_bytes: int) -> Held:
    assert child.stdout  # noqa: S101  (it is a pipe)
    said, ended = b"", os.pidfd_open(child.pid)
    try:
        while patience.until(child.stdout.fileno()):
            piece = os.read(child.stdout.fileno(), 1 << 16)
            said += piece
            if len(said) > most_bytes:
                return Held(said[:most_bytes], 0, too_much=True)
            if not piece:
                return Held(said, 0, late=not patience.until(ended))
        return Held(said, 0, late=True)
    finally:
        os.close(ended)
