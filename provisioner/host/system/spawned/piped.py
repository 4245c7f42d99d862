"""A program whose input and output are bytes that pass as they come; it ends with vmnet."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import IO

from provisioner.errors import VmnetError
from provisioner.host.system import processes, programs

Piece = Callable[[bytes], None]
Feed = Callable[[IO[bytes]], object]


def run(argv: Sequence[str], feed: Feed | None, out: Piece, errors: Piece, reader: int = -1) -> int:
    """Run a program to its end, and return its status.

    `feed` writes its input, in a thread of its own; without one it has none. `errors` gets what it
    writes to standard error, in another. What either raises is raised here when the program has
    ended, but for a program that reads no more. Raises VmnetError when the program is missing, and
    BrokenPipeError when nobody reads what is written to the descriptor `reader` any more.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise VmnetError(f"{argv[0]} is not installed", fix=f"install what has {argv[0]}")
    try:
        child = subprocess.Popen(
            [program, *argv[1:]],
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            preexec_fn=partial(processes.die_with, os.getpid(), signal.SIGTERM),  # noqa: PLW1509  (no other thread runs yet)
        )
    except OSError as error:
        raise programs.not_started(program, error) from error
    assert child.stdout  # noqa: S101  (it is piped; for the type checker)
    with child:
        threads = [_Thread(programs.passed, child.stderr, errors)]
        if feed:
            threads.append(_Thread(_fed, child.stdin, feed))
        try:
            programs.passed(child.stdout, out, reader)
            for thread in threads:
                thread.join()
            status = child.wait()
        finally:
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
    for thread in threads:
        if thread.error:
            raise thread.error
    return status if status >= 0 else 128 - status


class _Thread(threading.Thread):
    """Does something with a stream; `error` is what that has raised."""

    def __init__(self, does: Callable[..., None], *words: object) -> None:
        super().__init__(daemon=True)
        self._does, self._words = does, words
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._does(*self._words)
        except Exception as error:  # noqa: BLE001  (it is raised in the thread that waits)
            self.error = error


def _fed(stream: IO[bytes], feed: Feed) -> None:
    with suppress(BrokenPipeError), stream:
        feed(stream)
