"""VMNET_LOG: what vmnet does, a JSON object a line, for whoever has to find out why.

`debug` and `info` write to standard error, anything else is the name of a file, which lines are
added to, those of `debug` too. Imported by all: nothing heavy is imported before a line is written.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

VARIABLE: Final = "VMNET_LOG"
LEVELS: Final = ("info", "debug")
_MOST: Final = 4000  # characters of a value


class EventLog:
    """Where lines go, and which; none do before `open`."""

    def __init__(self) -> None:
        self._file = -1
        self._level = -1

    def open(self, wish: str, made: Callable[[int], None] = lambda _file: None) -> None:
        """Begin to write: to standard error, or to a file; `made` is told of one that is new.

        Raises OSError when the file cannot be written to.
        """
        if not wish:
            return
        if wish in LEVELS:
            self._file, self._level = 2, LEVELS.index(wish)
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._file = os.open(wish, flags | os.O_CREAT | os.O_EXCL, 0o600)
            made(self._file)
        except FileExistsError:
            self._file = os.open(wish, flags)
        self._level = LEVELS.index("debug")

    def write(self, level: str, event: str, **values: object) -> None:
        """Write a line, if lines of its level are wanted. What looks like a secret is masked.

        It is one write(2), which processes that add to the same file do not tear apart.
        """
        if LEVELS.index(level) > self._level:
            return
        import json
        import time

        now = time.time()
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        head = {"time": f"{seconds}.{int(now % 1 * 1000):03}Z", "level": level, "event": event}
        data = head | {"pid": os.getpid()} | {key: _shown(value) for key, value in values.items()}
        with suppress(OSError):  # a full disk is no reason to do nothing
            os.write(self._file, (json.dumps(data, default=str) + "\n").encode())


def _shown(value: object) -> object:
    from provisioner import redaction

    match value:
        case str():
            text = "\n".join(map(redaction.masked_line, value.split("\n")))
            return text if len(text) <= _MOST else text[:_MOST] + "…"
        case list() | tuple():
            return _words(list(map(str, value)))
        case _:
            return value


def _words(words: list[str]) -> list[object]:
    """Return the words of a command line; what follows a word that names a secret is one."""
    from provisioner import redaction

    found: list[object] = []
    for at, word in enumerate(words):
        named = at > 0 and redaction.is_secret(words[at - 1].lstrip("-"))
        found.append(redaction.MASK if named else _shown(word))
    return found


LOG: Final = EventLog()


def began(argv: list[str], made: Callable[[int], None]) -> None:
    """Open the log that the environment asks for. Raises OSError."""
    LOG.open(os.environ.get(VARIABLE, ""), made)
    LOG.write("info", "begun", argv=argv, cwd=str(Path.cwd()), python=sys.version.split()[0])
