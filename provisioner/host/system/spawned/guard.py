"""A process that takes plans away when the one that has brought them up has ended, however.

It is told what is up and what no longer is, a line of JSON each, and waits for the end of the pipe,
which the kernel closes. It has a session of its own: what ends a terminal or a test run by its
process group does not end it. A machine that is switched off, or a container that is killed as a
whole, ends it too: then only the plans' expiry is left.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Final, Self

from provisioner.host.system import programs
from provisioner.host.system.spawned import interpreter

_MODULE: Final = "provisioner.host.system.spawned.guard"
_DOWN: Final = ("down", "--disks", "--yes", "--now")


class PlanGuard:
    """The process, as the one that it guards sees it."""

    def __init__(self) -> None:
        """Start it. Raises VmnetError when it cannot be started."""
        argv = interpreter.argv(_MODULE)
        try:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                bufsize=1,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise programs.not_started(argv[0], error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The pid of the process."""
        return self._child.pid

    def watch(self, plan: str, connection: str = "") -> None:
        """Have a plan taken away when this process ends; `connection` is where libvirt is."""
        self._tell(plan=plan, connection=connection, watched=True)

    def leave(self, plan: str) -> None:
        """Have nothing done about a plan any more: it is gone, or is to stay."""
        self._tell(plan=plan, watched=False)

    def close(self) -> None:
        """Let it take away what is left, and wait for its end."""
        pipe = self._pipe
        if not pipe.closed:
            pipe.close()
        self._child.wait()

    @property
    def _pipe(self) -> IO[str]:
        assert self._child.stdin  # noqa: S101  (it is piped; for the type checker)
        return self._child.stdin

    def _tell(self, **words: object) -> None:
        self._pipe.write(json.dumps(words) + "\n")
        self._pipe.flush()


def left(lines: Iterable[str]) -> dict[str, str]:
    """Return the plans that are still watched after all of the lines, with their connections."""
    found: dict[str, str] = {}
    for line in lines:
        words = json.loads(line)
        found.pop(words["plan"], None)
        if words["watched"]:
            found[words["plan"]] = words["connection"]
    return found


def commands(plans: dict[str, str]) -> Iterator[list[str]]:
    """Return the command lines that take the plans away."""
    for plan, connection in plans.items():
        where = ["--connection", connection] if connection else []
        yield [*interpreter.argv("provisioner"), *_DOWN, "--name", plan, *where]


def main() -> None:
    """Wait for the end of the pipe, then take away what is left."""
    begun = [subprocess.Popen(argv) for argv in commands(left(sys.stdin))]
    for child in begun:
        child.wait()


if __name__ == "__main__":
    main()
