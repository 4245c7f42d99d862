"""What a guest writes to its serial line, in the log that QEMU keeps of it.

Nothing bounds that log: the embedded libvirt lets QEMU write it itself. QEMU appends to it, so it
may be cut short underneath, which `cap` does in `vmnet up` and `vmnet watch`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from provisioner.errors import VmnetError
from provisioner.host.system import plan_folders, programs, whole_files
from provisioner.text import sanitize

MOST: Final = 16 << 20
"""Bytes on the disk from which a log is cut short."""
_KEPT: Final = 4 << 20
_TAIL_BYTES: Final = 64 << 10
_BYTES_OF_A_LINE: Final = 256
_BLOCK: Final = 512


def last_lines(log: Path, lines: int) -> str:
    """Return the end of a console log, sanitised; empty when there is none.

    Only the last 64 KiB are read, or 256 bytes a line where that is more: a guest may have written
    lines without end.
    """
    most = min(MOST, max(_TAIL_BYTES, lines * _BYTES_OF_A_LINE))
    text = tail(log, most).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return sanitize("\n".join(text.split("\n")[-lines - (text[-1:] == "\n") :]).rstrip("\n"))


def last_bytes(log: Path, lines: int) -> bytes:
    """Return the end of a log as the guest has sent it."""
    data = tail(log, MOST)
    return b"".join(data.splitlines(keepends=True)[-lines:])


def ends_a_line(log: Path) -> bool:
    """Return whether the last output is a whole line: a prompt is not one."""
    return tail(log, 1) in {b"", b"\n", b"\r"}


def tail(log: Path, most: int) -> bytes:
    """Return the last `most` bytes of a log, those that `cap` has put aside included."""
    data = _end(log, most)
    if len(data) < most:
        data = _end(kept(log), most - len(data)) + data
    return data


def kept(log: Path) -> Path:
    """Return the file that holds the end of what was cut off."""
    return log.with_name(f"{log.name}.1")


def cap(folder: Path) -> None:
    """Cut every log short that has more than MOST bytes: its last 4 MiB go into LOG.1.

    What a guest writes in between is lost. A disk that is full is not a reason to leave it so.
    """
    for log in too_long(folder):
        with suppress(OSError):  # it has just gone
            with suppress(OSError):
                whole_files.write_secret(kept(log), _end(log, _KEPT))
            os.truncate(log, 0)


def too_long(folder: Path) -> Iterator[Path]:
    """List the logs that `cap` would cut short."""
    for log in filter(plan_folders.is_own, folder.glob("*.log")):
        with suppress(OSError):  # it has just gone, or is another user's
            if log.lstat().st_blocks * _BLOCK > MOST:
                yield log


def stopped(folder: Path) -> set[str]:
    """Return the VMs that vmnet has stopped, as is recorded beside their logs."""
    return {
        log.stem
        for log in folder.glob("[!.]*.log")
        if plan_folders.is_own(log) and plan_folders.record(log).stopped
    }


def remove(log: Path) -> None:
    """Remove a log of vmnet's and what was cut off it."""
    if plan_folders.is_own(log):
        for path in (log, kept(log)):
            path.unlink(missing_ok=True)
        plan_folders.disown(log)


def follow(
    log: Path, offset: int, pid: int, piece: Callable[[bytes], None], reader: int = -1
) -> None:
    """Pass on what is written to a log from `offset` on, as it comes, until the process has ended.

    Raises VmnetError when the log cannot be read, BrokenPipeError when nobody reads what is written
    to the descriptor `reader` any more.
    """
    argv = ["tail", "--follow=descriptor", f"--pid={pid}", "-c", f"+{offset + 1}", "--", str(log)]
    if not os.access(log, os.R_OK):
        raise VmnetError(f"cannot read {log}", fix="run it as who has started the VM")
    programs.stream(argv, piece, reader)


def _end(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            return file.read(most).lstrip(b"\0")  # the hole where an older vmnet's log was cut
    except FileNotFoundError:
        return b""
