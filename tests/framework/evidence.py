"""What is kept of a test that fails: consoles, vmnet's messages, rules, links, the kernel's log."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.framework.lab import Lab

FOLDER = pytest.StashKey[Path]()  # of a session: where the folders of tests that fail are made
FILES: dict[str, Path] = {}  # what else is kept of the test that runs: name to file
_LOG = pytest.StashKey["KernelLog"]()  # of a test


class KernelLog:
    """The kernel's log since this was made; empty where it may not be read."""

    def __init__(self) -> None:
        try:
            self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            self._file = -1
        else:
            os.lseek(self._file, 0, os.SEEK_END)

    def text(self) -> str:
        """Return the messages, one a line, each with the seconds since the machine's start."""
        return "".join(self._messages()) if self._file >= 0 else ""

    def _messages(self) -> Iterator[str]:
        while True:
            try:
                head, _, text = os.read(self._file, 8192).decode(errors="replace").partition(";")
            except BrokenPipeError:
                continue  # older messages have made way for newer ones: the next one follows
            except BlockingIOError:
                return
            yield f"[{int(head.split(',')[2]) / 1e6:.6f}] {text}"

    def close(self) -> None:
        """Close the log."""
        if self._file >= 0:
            os.close(self._file)


def begin(item: pytest.Item) -> None:
    """Listen to the kernel from here on, and forget what was seen for the test before."""
    item.stash[_LOG] = KernelLog()
    FILES.clear()
    Lab.known[:] = [lab for lab in Lab.known if lab.is_open]
    for lab in Lab.known:
        lab.evidence = {}


def end(item: pytest.Item) -> None:
    """Leave the kernel's log."""
    item.stash[_LOG].close()


def keep(item: pytest.Item, report: pytest.TestReport) -> None:
    """Write what is known of a test that has failed, and name the files in its report."""
    files = {f"{lab.name}/{name}": x for lab in Lab.known for name, x in lab.seen().items()}
    files |= {x: file.read_text(errors="replace") for x, file in FILES.items() if file.exists()}
    files["dmesg.txt"] = item.stash[_LOG].text()
    folder = item.session.stash[FOLDER] / re.sub(r"[^\w.-]+", "-", item.nodeid.rpartition("/")[2])
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    names = "\n".join(f"  {name}" for name in sorted(files))
    report.sections.append((f"kept of this test ({report.when})", f"{folder}:\n{names}"))
