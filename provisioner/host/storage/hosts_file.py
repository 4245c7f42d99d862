"""This host's /etc/hosts, in which a plan may keep a block of its own."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from errno import EBUSY, EXDEV
from pathlib import Path
from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.guest import hosts_block
from provisioner.guest.hosts_block import BrokenMarksError, HostsBlock
from provisioner.host.system import locks, paths
from provisioner.reconcile.resources import Look

_LOCK: Final = ".hosts.lock"  # no plan can have this name
_LOCK_S: Final = 10.0


def observe(look: Look) -> Iterator[HostsBlock]:
    """Return the plan's block, where its marks prove it."""
    with suppress(OSError, BrokenMarksError):
        block = hosts_block.found(paths.hosts_file().read_bytes(), look.plan)
        yield from [block] if block else []


def create(block: HostsBlock) -> None:
    """Write a plan's block at the end of the file. Raises VmnetError."""
    _change(block.name, block.lines)


def update(block: HostsBlock) -> None:
    """Write a plan's block where it stands. Raises VmnetError."""
    _change(block.name, block.lines)


def delete(block: HostsBlock) -> None:
    """Take a plan's block away, and nothing else; none is fine. Raises VmnetError."""
    _change(block.name, None)


def _change(plan: str, lines: Sequence[str] | None) -> None:
    path = paths.hosts_file().resolve()  # a link stays one
    lock = paths.run() / _LOCK
    with locks.held(lock, f"writing {path}", timeout_s=_LOCK_S, notify=lambda _: None, tidy=False):
        try:
            data = path.read_bytes() if path.exists() else b""
            wanted = hosts_block.replaced(data, plan, lines)
            if wanted != data:
                _write(path, wanted)
        except BrokenMarksError as error:
            raise VmnetError(
                f"the marks of {plan} in {path} are not one pair: somebody has edited them",
                fix=f'delete the lines that have "# vmnet begin {plan}" and "# vmnet end {plan}", '
                "and what vmnet wrote between them",
                status=Exit.CONFLICT,
            ) from error
        except OSError as error:
            raise VmnetError(
                f"cannot write {path}: {error.strerror}",
                fix="leave hosts_file out, or make the file writable",
                status=Exit.HOST_CANNOT,
            ) from error


def _write(path: Path, data: bytes) -> None:
    """Write a file whole, with the mode, the owner and the labels that it has. Raises OSError."""
    file, name = tempfile.mkstemp(prefix=f".{path.name}.vmnet-", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
            stream.flush()
            if path.exists():
                _as_before(path, stream.fileno())
            else:
                os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        _named(draft, path, lambda: _in_place(path, data))
    finally:
        draft.unlink(missing_ok=True)


def _as_before(path: Path, file: int) -> None:
    known = path.stat()
    os.fchown(file, known.st_uid, known.st_gid)
    os.fchmod(file, known.st_mode & 0o7777)
    for attribute in os.listxattr(path):
        with suppress(OSError):  # a label that the file system gives by itself
            os.setxattr(file, attribute, os.getxattr(path, attribute))


def _named(draft: Path, path: Path, otherwise: Callable[[], None]) -> None:
    """Give the draft the file's name; where that is a mount, as in a container, write in it."""
    try:
        draft.rename(path)
    except OSError as error:
        if error.errno not in {EBUSY, EXDEV}:
            raise
        otherwise()


def _in_place(path: Path, data: bytes) -> None:
    with path.open("r+b") as stream:
        stream.write(data)
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())
