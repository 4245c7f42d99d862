"""A command while it runs and when it has ended."""

import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.framework import forked
from tests.framework.forked import Fork

PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def report(self) -> Any:  # noqa: ANN401  (JSON)
        """Return the report of a command that was run with --json."""
        return json.loads(self.stdout)


class Running:
    """A command that is under way; its standard error can be waited for, line by line."""

    def __init__(
        self, argv: Sequence[str], cwd: Path, env: dict[str, str], fork: Fork | None = None
    ) -> None:
        self.argv = argv
        out, err = (os.pipe() for _ in range(2))
        with Path(os.devnull).open() as null:
            streams = (null.fileno(), out[1], err[1])
            begun = forked.begun(fork, cwd, env, streams) if fork else None
            self.process = begun or subprocess.Popen(
                argv, cwd=cwd, env=env, stdin=streams[0], stdout=streams[1], stderr=streams[2]
            )
        os.close(out[1])
        os.close(err[1])
        self._said: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("stdout", os.fdopen(out[0])), ("stderr", os.fdopen(err[0])))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._said[name].append(line)
                if name == "stderr":
                    self._news.put(line)

    @property
    def stdout(self) -> str:
        """Return what it has said on standard output so far."""
        return "".join(self._said["stdout"])

    @property
    def stderr(self) -> str:
        """Return what it has said on standard error so far."""
        return "".join(self._said["stderr"])

    def says(self, text: str) -> str:
        """Wait for a line of standard error that starts with `text`, and return it."""
        while True:
            try:
                line = self._news.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise AssertionError(f"it never said {text!r}, but {self._said}") from None
            if line.startswith(text):
                return line

    @property
    def is_stopped(self) -> bool:
        """Return whether a signal has stopped it (SIGSTOP)."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        return stat.rpartition(") ")[2].startswith("T")

    @property
    def has_ended(self) -> bool:
        """Return whether it has come to its end."""
        return self.process.poll() is not None

    def runs_for(self, seconds: float) -> bool:
        """Let it run on; return whether it still does."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def end(self) -> None:
        """Kill it if it still runs, as it does for a test that has failed."""
        self.process.kill()  # nothing, when it has ended
        self.process.wait()
        for reader in self._readers:
            reader.join(PATIENCE_S)

    def finished(self, status: int | None = 0, within_s: float = PATIENCE_S) -> Ran:
        """Wait for its end, with that status (None: any)."""
        try:
            returned = self.process.wait(within_s)
        finally:
            self.end()
        out, err = ("".join(self._said[name]) for name in ("stdout", "stderr"))
        ended = f"status {returned}, expected {status}"
        told = "\n".join((ended, *_wrong(out), err, out))  # who reads it may get the beginning only
        assert status is None or returned == status, told
        return Ran(returned, out, err)


def _wrong(out: str) -> Iterator[str]:
    """Return what a report, if it is one, tells of what is not as expected."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        report = json.loads(out)
        for result in report["results"]:
            if not result["as_expected"]:
                yield json.dumps(result)
        yield json.dumps({"findings": report["findings"], "failed": report["failed"]})
