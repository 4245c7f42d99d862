"""Reading a plan from the disk, and the files that it names."""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import Exit, VmnetError, Where
from provisioner.text import one_line, place_of

_MAX_BYTES = 5 << 20


def read(path: Path) -> str:
    """Give the text of a plan file.

    Raises VmnetError when it is not there, no regular file, larger than 5 MiB or no UTF-8.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise bad(f"{path} is not a regular file", "give the path of a plan: vmnet up FILE")
        if found.st_size > _MAX_BYTES:
            raise bad(f"{path} is larger than 5 MiB", "a plan is a page of text: is it this one?")
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError as error:
        raise bad(
            f"there is no plan {path}",
            "write one (see examples/pair.yaml), name another file, "
            "or go without: vmnet up --uplink NIC",
        ) from error
    except UnicodeDecodeError as error:
        raise VmnetError(
            f"the byte 0x{error.object[error.start]:02x} is not UTF-8 text",
            where=Where(str(path), *place_of(error)),
            fix="save the plan as UTF-8",
            status=Exit.BAD_INPUT,
        ) from error
    except OSError as error:
        raise bad(
            f"cannot read {path}: {error.strerror}", "fix its permissions or its path"
        ) from error


@dataclass(frozen=True, slots=True)
class Fence:
    """Where the files that a plan names may lie: below its folder, or where the operator allows."""

    folder: Path
    allowed: tuple[Path, ...] = ()  # resolved: files, or folders with all that is below them


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a plan names, held open: whatever its name comes to mean, this one was judged."""

    descriptor: int  # O_PATH
    real: Path  # links resolved
    outside: bool  # allowed by the operator; its lines are not quoted in complaints
    stat: os.stat_result

    @property
    def itself(self) -> Path:
        """A path that opens this very file, whatever has been renamed or linked since."""
        return Path(f"/proc/self/fd/{self.descriptor}")


@contextmanager
def found(fence: Fence, kind: str, written: str) -> Iterator[Found]:
    """Open the name of a file that a plan names, and judge where that file lies.

    A plan that somebody else wrote must not put this host's files into its guests. The judgement
    is about the open descriptor, and everything is read through it: no link can be exchanged in
    between. Raises VmnetError when it is not there, or outside and not allowed.
    """
    told = one_line(written, 120)
    try:
        # O_PATH opens nothing but the name: a pipe would wait for its other end, a watchdog start.
        descriptor = os.open(fence.folder / written, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise bad(
            f'the {kind} "{told}" cannot be used: {why}',
            f"write its path from {one_line(str(fence.folder))} on, or fix its permissions",
        ) from error
    try:
        real = Path(f"/proc/self/fd/{descriptor}").readlink()
        folder = fence.folder.resolve()
        outside = not real.is_relative_to(folder)
        if outside and not any(real.is_relative_to(one) for one in fence.allowed):
            raise bad(
                f'the {kind} "{told}" lies outside the folder of the plan',
                f"put it below {one_line(str(folder))}, or, if you trust the plan with it, add "
                f"--allow-file {one_line(shlex.quote(str(real)), 4096)}",
            )
        yield Found(descriptor, real, outside, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def text(fence: Fence, kind: str, written: str, most_bytes: int) -> tuple[str, bool]:
    """Return the text of a file that a plan names, and whether its lines may be quoted.

    Raises VmnetError as `found` does, and when it is not a regular file, too large or not UTF-8.
    """
    told = one_line(written, 120)
    with found(fence, kind, written) as file:
        if not stat.S_ISREG(file.stat.st_mode):
            raise bad(f'the {kind} "{told}" is not a regular file', "name a file of text")
        try:
            with file.itself.open("rb") as stream:
                data = stream.read(most_bytes + 1)
            if len(data) > most_bytes:
                raise bad(f"{told} is larger than {most_bytes >> 10} KiB", "put it on a disk")
            return data.decode(), not file.outside
        except UnicodeDecodeError as error:
            line, column = place_of(error)
            what = f"{told} is not UTF-8 text (line {line}, column {column})"
            raise bad(what, "save it as UTF-8") from error
        except OSError as error:
            raise bad(f"cannot read {told}: {error.strerror}", "fix its permissions") from error


def bad(what: str, fix: str) -> VmnetError:
    """Return a complaint about a file that the user named."""
    return VmnetError(what, fix=fix, status=Exit.BAD_INPUT)
