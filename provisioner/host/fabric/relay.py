"""Give other hosts an image, by ssh: one of this machine, or one that another host has.

What another host has passes through this machine, to all who lack it at once, and is stored nowhere
on the way. A host says how much of it is there already, and keeps only what has the right digest.
"""

import os
import select
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import IO, Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.fabric.remote.shell import HostShell
from provisioner.host.image.store import StoredImage
from provisioner.host.system import programs
from provisioner.host.system.programs import Finished
from provisioner.image import record as images
from provisioner.image.record import Stored

_ASK_S: Final = 60.0
_SEND_S: Final = 3600.0
_STALL_S: Final = 60.0
_PIECE: Final = 1 << 20
_MOST_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class ImageHost:
    """A host that has an image, and its shell."""

    host: str
    shell: HostShell


def record(source: ImageHost, name: str) -> Stored:
    """Return what a host says of an image that it has. Raises VmnetError when that is no record."""
    asked = _asked(source.shell, "send", name, "--record")
    found = images.told(asked.stdout)
    if asked.returncode or found is None or found.name != name:
        said = programs.last_lines(asked.stderr or "its answer is no record of it")
        raise VmnetError(
            f"{source.host} does not hand out the image {name}: {said}",
            fix=f"look at it there: on {source.host}, vmnet image verify {name}",
        )
    return found


def passed(
    image: Stored, source: StoredImage | ImageHost, targets: Mapping[str, HostShell]
) -> dict[str, VmnetError]:
    """Give hosts what they lack of an image, all at once; return why some have not taken it."""
    words = ("receive", images.as_json(image).decode())
    # For each target what feeds it, and for the source what reads it.
    with ThreadPoolExecutor(len(targets) + 1) as pool:
        asks = pool.map(lambda shell: _asked(shell, *words, "--ask"), targets.values())
        ended = dict(zip(targets, asks, strict=True))
        there = {host: n for host, one in ended.items() if (n := _there(one, image)) is not None}
        if there:
            argv = {host: _argv(targets[host], *words) for host in there}
            ended |= _poured(image, source, there, argv, pool)
    return {
        host: _refused(image, one)
        for host, one in ended.items()
        if one.returncode or not one.stdout
    }


def _poured(
    image: Stored,
    source: StoredImage | ImageHost,
    there: Mapping[str, int],
    argv: Mapping[str, list[str]],
    pool: ThreadPoolExecutor,
) -> dict[str, Finished]:
    """Read an image once, from the first byte that a target lacks, and write it to all of them."""
    start = min(there.values())
    ends = {}
    with ExitStack() as stack:
        lacking: dict[int, int] = {}
        for host, words in argv.items():
            reader, writer = os.pipe()
            os.set_blocking(writer, False)
            stack.enter_context(os.fdopen(writer, "wb", buffering=0))
            lacking[writer] = there[host]
            ends[host] = pool.submit(_fed, words, reader=reader)
        with _opened(image, source, start, pool) as stream:
            _pour(stream, start, lacking)
    return {host: end.result() for host, end in ends.items()}


def _pour(stream: IO[bytes], at: int, lacking: dict[int, int]) -> None:
    """Write a stream, whose first byte is number `at`, to pipes, to each from what it lacks on."""
    while lacking and (piece := stream.read(_PIECE)):
        waiting = {fd: memoryview(piece)[max(0, first - at) :] for fd, first in lacking.items()}
        waiting = {fd: rest for fd, rest in waiting.items() if rest}
        while waiting:
            ready = select.select([], [*waiting], [], _STALL_S)[1]
            if not ready:  # as long as another command there has that image
                lacking = {fd: first for fd, first in lacking.items() if fd not in waiting}
                break
            for fd in ready:
                try:
                    waiting[fd] = waiting[fd][os.write(fd, waiting[fd]) :]
                except BlockingIOError:
                    continue
                except OSError:  # it reads no more: it has all, or has ended
                    waiting[fd] = memoryview(b"")
                    del lacking[fd]
                if not waiting[fd]:
                    del waiting[fd]
        at += len(piece)


@contextmanager
def _opened(
    image: Stored, source: StoredImage | ImageHost, start: int, pool: ThreadPoolExecutor
) -> Iterator[IO[bytes]]:
    """Open an image of this machine or of another host, at its byte number `start`."""
    if isinstance(source, StoredImage):
        with source.path.open("rb", buffering=0) as file:
            file.seek(start)
            yield file
        return
    reader, writer = os.pipe()
    words = _argv(source.shell, "send", image.name, "--from", str(start))
    with os.fdopen(reader, "rb", buffering=0) as stream:
        pool.submit(_fed, words, writer=writer)
        yield stream


def _fed(words: list[str], *, reader: int | None = None, writer: int | None = None) -> Finished:
    """Run a program whose input or output is a pipe, and close that when it has ended."""
    with ExitStack() as stack:
        file = None if reader is None else stack.enter_context(os.fdopen(reader, "rb"))
        into = None if writer is None else stack.enter_context(os.fdopen(writer, "wb"))
        try:
            return programs.fed(words, file, timeout_s=_SEND_S, into=into)
        except VmnetError as error:
            return Finished("", error.what, 1)


def _asked(shell: HostShell, *words: str) -> Finished:
    try:
        return programs.run(_argv(shell, *words), timeout_s=_ASK_S, check=False)
    except VmnetError as error:
        return Finished("", error.what, 1)


def _argv(shell: HostShell, *words: str) -> list[str]:
    return shell.argv(shell.vmnet(["image", *words]))


def _there(asked: Finished, image: Stored) -> int | None:
    """Return how many bytes of an image a host has; None where it does not say."""
    said = asked.stdout.strip()
    if asked.returncode or not said.isdecimal() or len(said) > _MOST_DIGITS:
        return None
    return min(int(said), image.size)


def _refused(image: Stored, ended: Finished) -> VmnetError:
    said = programs.last_lines(ended.stderr or ended.stdout)
    return VmnetError(
        f"the image {image.name} has not gone there: {said}",
        fix="mend that, and run it again, which goes on from there: vmnet up",
    )
