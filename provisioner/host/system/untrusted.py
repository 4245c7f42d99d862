"""Programs that are not trusted: run with nothing of ours, for a while, and read to a limit."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from provisioner.dataclass import dataclass
from provisioner.host.system.programs import not_started


@dataclass(frozen=True, slots=True)
class UntrustedRun:
    """What a program wrote before it ended, was `late` or had written `too_much`."""

    stdout: bytes
    returncode: int
    late: bool = False
    too_much: bool = False


def run(argv: Sequence[str], stdin: bytes, *, deadline_s: float, most_bytes: int) -> UntrustedRun:
    """Run a program that is not trusted: no environment, a deadline, a limit to its output.

    It gets `stdin` and nothing else of ours; its error messages are thrown away. When this returns
    it is gone, and what it started in its process group is killed. A program that has not had a
    ninth of a processor by its deadline gets three times as long: it is the host that is slow then.
    Raises VmnetError when it cannot be started.
    """
    # A Python with a shared library of its own does not start without this; sudo strips it.
    env = {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
    with os.fdopen(os.memfd_create("stdin"), "w+b") as source:
        source.write(stdin)
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
            patience = _Patience(child.pid, time.monotonic(), deadline_s)
            stdout, late = _output(child, patience, most_bytes)
        finally:
            # It may have ended, but it is not reaped yet: the number is still that of its group.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    return UntrustedRun(
        stdout[:most_bytes], child.returncode, late, too_much=len(stdout) > most_bytes
    )


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
        """Wait until a file descriptor can be read; False when it takes too long."""
        poller = select.poll()
        poller.register(readable, select.POLLIN)
        while (left_s := self.left_s()) > 0:
            if poller.poll(left_s * 1000):
                return True
        return False


def _output(
    child: "subprocess.Popen[bytes]", patience: _Patience, most_bytes: int
) -> tuple[bytes, bool]:
    """Return what a program writes, a piece beyond `most_bytes` at most, and whether it is late."""
    assert child.stdout  # noqa: S101  (it is a pipe)
    stdout, ended = b"", os.pidfd_open(child.pid)
    try:
        while patience.until(child.stdout.fileno()):
            piece = os.read(child.stdout.fileno(), 1 << 16)
            stdout += piece
            if len(stdout) > most_bytes:
                return stdout, False
            if not piece:
                return stdout, not patience.until(ended)
        return stdout, True
    finally:
        os.close(ended)
