"""Reading a plan from the disk, and the files that it names."""

import codecs
import os
import stat
from pathlib import Path

from provisioner.core.text import one_line
from provisioner.errors import Exit, VmnetError, Where

_MAX_BYTES = 5 << 20


def read(path: Path) -> str:
    """Give the text of a plan file.

    Raises VmnetError when it is not there, no regular file, larger than 5 MiB or no UTF-8.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise _bad(f"{path} is no regular file", "give the path of a plan: vmnet up FILE")
        if found.st_size > _MAX_BYTES:
            raise _bad(f"{path} is larger than 5 MiB", "a plan is a page of text: is it this one?")
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        return data.decode().replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError as error:
        raise _bad(
            f"there is no plan {path}",
            "write one (see examples/pair.yaml), name another file, "
            "or go without: vmnet up --uplink NIC",
        ) from error
    except UnicodeDecodeError as error:
        line, column = _place(error)
        raise VmnetError(
            f"this is not UTF-8 text: byte 0x{error.object[error.start]:02x}",
            where=Where(str(path), line, column),
            fix="save the file as UTF-8",
            status=Exit.BAD_INPUT,
        ) from error
    except OSError as error:
        raise _bad(
            f"cannot read {path}: {error.strerror}", "mend its rights or its path"
        ) from error


def named(folder: Path, written: str, *, most_bytes: int, below: bool) -> str:
    """Give the text of a file that a plan in `folder` names.

    With `below` it has to lie below that folder, links followed: a plan that somebody else wrote
    shall not put this host's files into its guests. Raises VmnetError when it does not, is not
    there, no regular file, too large or no UTF-8.
    """
    told = one_line(written, 120)
    try:
        data = _content(folder, written, told, most_bytes, below=below)
        if len(data) > most_bytes:
            raise _bad(f"{told} is larger than {most_bytes >> 10} KiB", "put it on a disk")
        return data.decode()
    except UnicodeDecodeError as error:
        line, column = _place(error)
        raise _bad(
            f"{told} is not UTF-8 text: line {line}, column {column}", "save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise _bad(f"cannot read {told}: {why}", "mend its path or its rights") from error


def _content(folder: Path, written: str, told: str, most_bytes: int, *, below: bool) -> bytes:
    # O_PATH opens nothing but the name: a pipe would wait for its other end, a watchdog start.
    place = os.open(folder / written, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise _bad(f"{told} is no regular file", "name a file of text")
        itself = Path(f"/proc/self/fd/{place}")
        # What was opened, not what the name means by now.
        if below and not itself.readlink().is_relative_to(folder.resolve()):
            raise _bad(
                f"{told} does not lie below the folder of the plan",
                f"copy it there: {folder.resolve()}",
            )
        with itself.open("rb") as file:
            return file.read(most_bytes + 1)
    finally:
        os.close(place)


def _place(error: UnicodeDecodeError) -> tuple[int, int]:
    """Return the line and the column, from 1 on, of the first byte that is not UTF-8."""
    before = error.object[: error.start].decode()
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _bad(what: str, fix: str) -> VmnetError:
    return VmnetError(what, fix=fix, status=Exit.BAD_INPUT)
