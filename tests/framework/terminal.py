"""A guest's console on a terminal of the test's, as its user has it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.framework.lab import Lab, until
from tests.framework.running import PATIENCE_S

WINDOW = (41, 132)


@dataclass(slots=True)
class Joined:
    """`vmnet console` under way; `ours` is where the test types and reads."""

    ours: int
    theirs: int
    process: "subprocess.Popen[bytes]"
    said: bytes = b""

    def sees(self, text: bytes) -> None:
        """Read until the text has come."""
        end = time.monotonic() + PATIENCE_S
        while text not in self.said:
            left = end - time.monotonic()
            assert left > 0, (text, self.said)
            if select.select([self.ours], [], [], min(left, 0.5))[0]:
                self.said += os.read(self.ours, 4096)
        self.said = b""

    def types(self, text: bytes) -> None:
        """Type, as on a keyboard."""
        os.write(self.ours, text)

    def is_raw(self) -> bool:
        """Return whether what is typed goes through as it is."""
        return not termios.tcgetattr(self.theirs)[3] & termios.ICANON


@contextmanager
def joined(lab: Lab, plan: Path, *words: str) -> Iterator[Joined]:
    """Join a console; it must have ended at the end, and the terminal be as it was."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *WINDOW, 0, 0))
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        lab.argv("console", "-f", plan, *words),
        env=lab.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    )
    try:
        yield Joined(ours, theirs, process)
        assert process.wait(PATIENCE_S) is not None
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def typed(lab: Lab, plan: Path, vm: str, script: str) -> None:
    """Run a shell script on a guest's console, to its end: the way in that needs no agent."""
    with joined(lab, plan, vm) as console:
        until(console.is_raw, "the terminal is raw")
        console.types(f"\n{script}; echo typed''-to-the-end\n".encode())
        console.sees(b"typed-to-the-end")
        console.types(b"\x1d")
