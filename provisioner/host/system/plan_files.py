"""Reading a plan from the disk, and the files that it names."""

import os
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, Where, bad_input
from provisioner.host.system import accounts, whole_files
from provisioner.text import one_line, place_of

INPUT: Final = "<stdin>"
"""What complaints call a plan that was read from standard input."""

_USUAL: Final = (Path("vmnet.yaml"), Path("vmnet.yml"))
_MAX_BYTES = 5 << 20


class NoPlanError(VmnetError):
    """There is no file where a plan was looked for."""


def usual() -> Path:
    """Return the plan of the working folder, there or not. Raises VmnetError when there are two."""
    there = [path for path in _USUAL if os.path.lexists(path)]
    if len(there) > 1:
        raise bad_input(
            f"there are a {there[0]} and a {there[1]}, and only one can be meant",
            "remove one of them, or name the one that is meant with --file",
        )
    return there[0] if there else _USUAL[0]


def read(path: Path) -> str:
    """Return the text of a plan file.

    Raises VmnetError when it is not there, not a regular file, larger than 5 MiB or not UTF-8, and
    when its name is a link out of its folder: complaints would quote the lines of another file.
    """
    try:
        # A pipe that nobody writes to opens at once this way, and is refused.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _judge_plan(path, file)
            data = Path(f"/proc/self/fd/{file}").read_bytes()
        finally:
            os.close(file)
    except FileNotFoundError as error:
        raise NoPlanError(
            f"there is no plan {path}",
            fix="have one written: vmnet init, name another file, "
            "or go without: vmnet up --uplink NIC",
            status=Exit.BAD_INPUT,
        ) from error
    except OSError as error:
        raise bad_input(
            f"cannot read {path}: {error.strerror}", "fix its permissions or its path"
        ) from error
    return _decoded(str(path), data)


def read_input() -> str:
    """Return the text of a plan on standard input.

    Raises VmnetError when there is none, or it is larger than 5 MiB or not UTF-8.
    """
    if sys.stdin is None:
        raise bad_input("standard input is closed: there is no plan on it", "name a file instead")
    try:
        data = sys.stdin.buffer.read(_MAX_BYTES + 1)
    except OSError as error:
        raise bad_input(
            f"cannot read standard input: {error.strerror}", "pipe a plan to it"
        ) from error
    if len(data) > _MAX_BYTES:
        raise _too_large("what stands on standard input")
    return _decoded(INPUT, data)


def _decoded(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise VmnetError(
            f"the byte 0x{error.object[error.start]:02x} is not UTF-8 text",
            where=Where(name, *place_of(error)),
            fix="save the plan as UTF-8",
            status=Exit.BAD_INPUT,
        ) from error


def _too_large(what: str) -> VmnetError:
    return bad_input(f"{what} is larger than 5 MiB", "a plan is a page of text: is it this one?")


def create(path: Path, text: str, *, force: bool = False) -> None:
    """Write a new plan file, which belongs to whoever runs vmnet.

    Raises VmnetError when something is there, unless `force`, or when it cannot be written.
    """
    if force:
        whole_files.write_report(path, text)
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
            accounts.hand_over(file.fileno())
    except FileExistsError as error:
        raise bad_input(
            f"there is a file {path} already",
            "name another one: --output other.vmnet.yaml, or replace it: --force",
        ) from error
    except OSError as error:
        raise bad_input(
            f"cannot write {path}: {error.strerror}", "name another place: --output PATH"
        ) from error


def _judge_plan(path: Path, file: int) -> None:
    """Raise VmnetError when what was opened is no plan's file, or lies elsewhere than its name."""
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise bad_input(f"{path} is not a regular file", "give the path of a plan: vmnet up FILE")
    if found.st_size > _MAX_BYTES:
        raise _too_large(str(path))
    real = Path(f"/proc/self/fd/{file}").readlink()
    if path.is_symlink() and not real.is_relative_to(path.parent.resolve()):
        raise bad_input(
            f"the plan {path} is a link that leads out of its folder",
            f"if that is what you mean, name the file itself: {one_line(str(real))}",
        )


@dataclass(frozen=True, slots=True)
class Fence:
    """Where the files that a plan names may lie: below its folder, or where the operator allows."""

    folder: Path
    allowed: tuple[Path, ...] = ()  # resolved: files, or folders with all that is below them


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that a plan names, held open: it was checked, whatever its name comes to mean."""

    descriptor: int  # O_PATH
    real: Path  # links resolved
    outside: bool  # allowed by the operator; its lines are not quoted in complaints
    stat: os.stat_result

    @property
    def itself(self) -> Path:
        """A path that opens this very file, whatever has been renamed or linked since."""
        return Path(f"/proc/self/fd/{self.descriptor}")


@contextmanager
def opened(fence: Fence, kind: str, written: str) -> Iterator[OpenedFile]:
    """Open the name of a file that a plan names, and check where that file lies.

    A plan that somebody else wrote must not put this host's files into its guests. The check
    is about the open descriptor, and everything is read through it: no link can be exchanged in
    between. Raises VmnetError when it is not there, or outside and not allowed.
    """
    shown = one_line(written, 120)
    try:
        # O_PATH opens nothing but the name: a pipe would wait for its other end, a watchdog start.
        descriptor = os.open(fence.folder / written, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise bad_input(
            f'the {kind} "{shown}" cannot be used: {why}',
            f"write its path from {one_line(str(fence.folder))} on, or fix its permissions",
        ) from error
    try:
        real = Path(f"/proc/self/fd/{descriptor}").readlink()
        folder = fence.folder.resolve()
        outside = not real.is_relative_to(folder)
        if outside and not any(real.is_relative_to(one) for one in fence.allowed):
            raise bad_input(
                f'the {kind} "{shown}" lies outside the folder of the plan',
                f"put it below {one_line(str(folder))}, or, if you trust the plan with it, add "
                f"--allow-file {one_line(shlex.quote(str(real)), 4096)}",
            )
        yield OpenedFile(descriptor, real, outside, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def text(
    fence: Fence, kind: str, written: str, most_bytes: int, *, too_large: str
) -> tuple[str, bool]:
    """Return the text of a file that a plan names, and whether its lines may be quoted.

    Raises VmnetError as `opened` does, and when it is not a regular file, not UTF-8, or too large,
    with that fix.
    """
    shown = one_line(written, 120)
    with opened(fence, kind, written) as file:
        if not stat.S_ISREG(file.stat.st_mode):
            raise bad_input(f'the {kind} "{shown}" is not a regular file', "name a file of text")
        try:
            with file.itself.open("rb") as stream:
                data = stream.read(most_bytes + 1)
            if len(data) > most_bytes:
                raise bad_input(f"{shown} is larger than {most_bytes >> 10} KiB", too_large)
            return data.decode(), not file.outside
        except UnicodeDecodeError as error:
            line, column = place_of(error)
            what = f"{shown} is not UTF-8 text (line {line}, column {column})"
            raise bad_input(what, "save it as UTF-8") from error
        except OSError as error:
            raise bad_input(
                f"cannot read {shown}: {error.strerror}", "fix its permissions"
            ) from error
