"""The one door to other programs: arguments in, text and an exit status out, never a shell."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import IO, NoReturn, Self

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.event_log import LOG
from provisioner.host.system import deadline, file_errors, processes, umask
from provisioner.signals import deferred

_NOBODY = 65534
_KILLED_S = 2.0
_PIECE = 1 << 16
_SHOWN_LINES = 5
_SHOWN_WORDS = 6


@dataclass(frozen=True, slots=True)
class Finished:
    """A program's output as text, and the status it ended with (negative: the signal)."""

    stdout: str
    stderr: str
    returncode: int


def is_installed(name: str) -> bool:
    """Return whether the program can be run."""
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
    files: Sequence[int] = (),
    through: Sequence[str] = (),
) -> Finished:
    """Run a program to its end, its messages in English.

    `files` are descriptors that it gets, by their numbers; `env` is laid over our own environment;
    `through` is another program, with its words, that takes away rights and then becomes this one.
    `check=False` hands every exit status back. Raises VmnetError when the program is missing, when
    it is not done after `timeout_s` seconds (fewer when the request that it is a part of ends
    before), or, with `check`, when it fails; `fix` replaces the stock advice of that last case.
    """
    timeout_s, started = deadline.left_s(timeout_s), time.monotonic()
    program = shutil.which(argv[0])
    if program is None:
        raise VmnetError(
            f"{argv[0]} is not installed", fix=f"install it, or put it on the PATH ({argv[0]})"
        )
    try:
        child = subprocess.Popen(
            [*through, program, *argv[1:]],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            process_group=0,
            pass_fds=files,
        )
    except OSError as error:
        raise not_started(through[0] if through else program, error) from error
    with child:
        try:
            stdout, stderr = child.communicate(input, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _killed(child)
            raise VmnetError(
                f"{_shown(argv)} was not done after {timeout_s:.3g} s, and has been ended",
                fix=f"see what {argv[0]} waits for: run it by hand; then run the command again",
            ) from None
        except BaseException:  # a Ctrl-C does not reach a process group of its own
            _killed(child)
            raise
    took = round(time.monotonic() - started, 3)
    LOG.write("debug", "program", argv=argv, status=child.returncode, seconds=took)
    if check and child.returncode != 0:
        raise VmnetError(
            f"{_shown(argv)} failed with status {child.returncode}: {last_lines(stderr or stdout)}",
            fix=file_errors.no_space_fix(stderr)
            or fix
            or "run it by hand to see the whole of what it says",
        )
    return Finished(stdout, stderr, child.returncode)


def fed(
    argv: Sequence[str],
    file: IO[bytes] | None,
    *,
    timeout_s: float,
    into: IO[bytes] | None = None,
) -> Finished:
    """Run a program whose standard input is a file, from where that is read next, or is empty.

    Its output goes `into` another, if there is one. Raises VmnetError when it is missing, or not
    done after `timeout_s` seconds.
    """
    try:
        child = subprocess.Popen(
            argv,
            env={**os.environ, "LC_ALL": "C"},
            stdin=file or subprocess.DEVNULL,
            stdout=into or subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
    except OSError as error:
        raise not_started(argv[0], error) from error
    with child:
        try:
            stdout, stderr = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _killed(child)
            raise VmnetError(
                f"{_shown(argv)} was not done after {timeout_s:g} s, and has been ended",
                fix="see whether the line is slow, then run the command again",
            ) from None
        except BaseException:  # a Ctrl-C does not reach a process group of its own
            _killed(child)
            raise
    return Finished(stdout or "", stderr, child.returncode)


class Background:
    """A program that runs while something else is done.

    At the end of the block it is killed, with all it has started; it dies with vmnet too. `pidfd`
    can be read when it has ended (pidfd_open(2)).
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._out = self._stack.enter_context(tempfile.TemporaryFile())
        self._err = self._stack.enter_context(tempfile.TemporaryFile())
        try:
            # What an interrupt raises while Python forks, in a hook of logging's say, is lost.
            with deferred():
                self._child = subprocess.Popen(
                    self._argv,
                    env={**os.environ, "LC_ALL": "C"},
                    stdin=subprocess.DEVNULL,
                    stdout=self._out,
                    stderr=self._err,
                    process_group=0,
                    preexec_fn=partial(processes.die_with, os.getpid(), signal.SIGTERM),  # noqa: PLW1509  (whoever enters this has no other threads)
                )
                self.pidfd = os.pidfd_open(self._child.pid)
                self._stack.callback(self._end)
        except OSError as error:
            self._stack.close()
            raise not_started(self._argv[0], error) from error
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        if not self.has_ended:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
        os.close(self.pidfd)

    @property
    def has_ended(self) -> bool:
        """Whether it has."""
        return self._child.poll() is not None

    def finished(self) -> Finished:
        """Wait for its end; return what it has printed."""
        status = self._child.wait()
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
        return Finished(texts[0], texts[1], status)


def run_as_nobody(program: Path, words: Sequence[str], *, timeout_s: float) -> str:
    """Run a program from its file, without the rights of root, and return its standard output.

    Root's child is the user nobody, who need not be able to reach the file: it is opened here.
    argv[0] is the file's name. Raises VmnetError when it does not start, fails or is not done after
    `timeout_s` seconds.
    """
    with program.open("rb") as file:
        nobody = _NOBODY if os.geteuid() == 0 else None
        try:
            done = subprocess.run(
                [program.name, *words],
                executable=f"/proc/self/fd/{file.fileno()}",
                pass_fds=[file.fileno()],
                user=nobody,
                group=nobody,
                extra_groups=None if nobody is None else [],
                cwd="/",
                env={"LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except OSError as error:
            raise not_started(str(program), error) from error
        except subprocess.TimeoutExpired:
            raise VmnetError(
                f"{_shown([program.name, *words])} was not done after {timeout_s:g} s",
                fix=f"run it by hand to see what it waits for: {program}",
            ) from None
    if done.returncode != 0:
        raise VmnetError(
            f"{_shown([program.name, *words])} failed with status {done.returncode}: "
            f"{last_lines(done.stdout)}",
            fix=f"run it by hand to see the whole of what it says: {program}",
        )
    return done.stdout


def follow(
    argv: Sequence[str],
    into: int | None,
    line: Callable[[str], None],
    duration_s: float | None = None,
) -> Finished:
    """Run a program and pass on each line of its output, which goes into `into` when given.

    It is asked to end (SIGINT) after `duration_s` seconds or at a Ctrl-C, and dies with vmnet.
    """
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if into is None else into,
        stderr=subprocess.PIPE,
        env=os.environ | {"LC_ALL": "C"},
        encoding="utf-8",
        errors="replace",
        process_group=0,  # a Ctrl-C is for us: the program is then asked to finish
        preexec_fn=partial(processes.die_with, os.getpid(), signal.SIGTERM),  # noqa: PLW1509  (whoever calls this has no other threads)
    ) as child:
        stderr = _followed(child, line, duration_s)
    return Finished("", stderr, child.returncode)


def become(argv: Sequence[str], package: str) -> NoReturn:
    """Let another program take the place of vmnet: its terminal, its signals, its exit status.

    Raises VmnetError when it is missing; `package` is what to install then.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise VmnetError(f"{argv[0]} is not installed", fix=f"install {package}")
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores it, and what is ignored stays so over an exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.umask(umask.of_user())
    os.execv(program, list(argv))  # noqa: S606  (no shell: that is what is wanted)


def stream(argv: Sequence[str], piece: Callable[[bytes], None], reader: int = -1) -> None:
    """Run a program and pass on its output as it comes.

    It dies with vmnet, and is ended when vmnet is interrupted or `piece` raises. Raises
    BrokenPipeError as soon as nobody reads any more what is written to the descriptor `reader`,
    which no writing would tell while the program is silent.
    """
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=partial(processes.die_with, os.getpid(), signal.SIGTERM),  # noqa: PLW1509  (whoever calls this has no other threads)
    ) as child:
        assert child.stdout  # noqa: S101  (it is piped; for the type checker)
        try:
            passed(child.stdout, piece, reader)
        finally:
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)


def passed(stream: IO[bytes], piece: Callable[[bytes], None], reader: int = -1) -> None:
    """Pass on what comes from a program until its end; raises BrokenPipeError as `stream` does."""
    output = stream.fileno()
    watched = select.poll()
    watched.register(output, select.POLLIN)
    if reader >= 0:
        watched.register(reader, 0)  # errors alone: the other end is closed
    while True:
        ready = dict(watched.poll())
        if output in ready:
            data = os.read(output, _PIECE)
            if not data:
                return
            piece(data)
        elif reader in ready:
            raise BrokenPipeError


def _followed(
    child: "subprocess.Popen[str]", line: Callable[[str], None], duration_s: float | None
) -> str:
    stderr: list[str] = []
    reader = threading.Thread(target=lambda: stderr.extend(child.stderr or ()), daemon=True)
    reader.start()
    timer = threading.Timer(duration_s or 0, _finish, (child,))
    if duration_s:
        timer.start()
    try:
        for text in child.stdout or ():
            line(text.rstrip("\n"))
        child.wait()
    except KeyboardInterrupt:
        _finish(child)
        child.wait()
    finally:
        timer.cancel()
        _finish(child)
        reader.join()
    return "".join(stderr)


def _finish(child: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGINT)


def last_lines(text: str) -> str:
    """Return the end of a program's output as one harmless line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = " / ".join(lines[-_SHOWN_LINES:]) or "it said nothing"
    return "".join(c if c.isprintable() else "?" for c in shown)


def not_started(program: str, error: OSError) -> VmnetError:
    """Return the error for a program that cannot be started."""
    return VmnetError(
        f"cannot start {program}: {error.strerror}", fix="check the program and the memory left"
    )


def _killed(child: subprocess.Popen[str]) -> None:
    """End the program and all it started, or their open pipes would keep us waiting.

    Not for ever: what has left its process group may hold the pipes open.
    """
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        child.communicate(timeout=_KILLED_S)


def _shown(argv: Sequence[str]) -> str:
    cut = " ..." if len(argv) > _SHOWN_WORDS else ""
    return last_lines(" ".join(argv[:_SHOWN_WORDS]) + cut)
