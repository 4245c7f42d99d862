"""The one door to other programs: arguments in, text and an exit status out, never a shell."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import VmnetError

_TOLD_LINES = 5
_TOLD_WORDS = 6


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program said, as text, and the status it ended with (negative: the signal)."""

    stdout: str
    stderr: str
    returncode: int


def found(name: str) -> bool:
    """Tell whether the program can be run."""
    return shutil.which(name) is not None


def run(  # noqa: PLR0913  (the keywords are the ways in which one program run differs from another)
    argv: Sequence[str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str | None = None,  # noqa: A002  (subprocess's own word)
    check: bool = True,
    fix: str | None = None,
) -> Finished:
    """Run a program to its end, its messages in English.

    `env` is laid over our own environment. `check=False` hands every exit status back. Raises
    VmnetError when the program is missing, when it is not done after `timeout_s` seconds, or,
    with `check`, when it fails; `fix` replaces the stock advice of that last case.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise VmnetError(
            f"{argv[0]} is not installed", fix=f"install it, or put it on the PATH ({argv[0]})"
        )
    with _started([program, *argv[1:]], cwd, env) as child:
        try:
            stdout, stderr = child.communicate(input, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _killed(child)
            raise VmnetError(
                f"{_told(argv)} was not done after {timeout_s:g} s",
                fix="run it by hand to see what it waits for",
            ) from None
        except BaseException:  # a Ctrl-C does not reach a process group of its own
            _killed(child)
            raise
    if check and child.returncode != 0:
        raise VmnetError(
            f"{_told(argv)} failed with status {child.returncode}: {last_lines(stderr or stdout)}",
            fix=fix or "run it by hand to see the whole of what it says",
        )
    return Finished(stdout, stderr, child.returncode)


def last_lines(text: str) -> str:
    """Give the end of a program's output as one harmless line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = " / ".join(lines[-_TOLD_LINES:]) or "it said nothing"
    return "".join(c if c.isprintable() else "?" for c in told)


def _started(
    argv: list[str], cwd: Path | None, env: Mapping[str, str] | None
) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
    except OSError as error:
        raise VmnetError(
            f"cannot start {argv[0]}: {error.strerror}", fix="check the program and the memory left"
        ) from error


def _killed(child: subprocess.Popen[str]) -> None:
    """End the program and all it started, or their open pipes would keep us waiting."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def _told(argv: Sequence[str]) -> str:
    cut = " ..." if len(argv) > _TOLD_WORDS else ""
    return last_lines(" ".join(argv[:_TOLD_WORDS]) + cut)
