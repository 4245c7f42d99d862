"""`status --watch` on a terminal: a table that stays below the lines, until Ctrl-C."""

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

from tests.cli.test_colours import PLAN, VMNET, environment

LOOK = ("status", "--watch", "--every", "600")


def watched(cwd: Path, awaited: bytes, *words: str) -> tuple[int, str]:
    """Run it on a pseudo terminal until a text is there, then press Ctrl-C."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["unshare", "-mn", *VMNET, *LOOK, *words],
        cwd=cwd,
        env=environment({}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    pressed = False
    while part := _part(ours):
        said += part
        if not pressed and awaited in said:
            process.send_signal(signal.SIGINT)
            pressed = True
    os.close(ours)
    return process.wait(), said.decode()


def _part(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # a terminal that nobody has open any more
        return b""


def plain(text: str) -> list[str]:
    """Return the lines of a terminal's text, without what steers it."""
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in text.split("\n")]


def test_the_vms_stand_in_a_table_below_what_has_happened(tmp_path: Path) -> None:
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    status, said = watched(tmp_path, b"Ctrl-C ends")
    lines = plain(said)
    head, *_ = (line.split() for line in lines if line.strip().startswith("VM "))
    assert head == ["VM", "state", "process", "network", "mode", "addresses"]
    row, *_ = (line.split() for line in lines if line.strip().startswith("a "))
    assert row[:5] == ["a", "not", "there", "lan", "bridge"]
    assert any("colours: vmnet up would take" in line for line in lines)
    assert any(re.search(r"\d\d:\d\d:\d\d a: not there", line) for line in lines)
    assert status == 130


def test_there_is_no_table_without_progress(tmp_path: Path) -> None:
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    status, said = watched(tmp_path, b"a: not there\r\n", "--no-progress")
    assert "Ctrl-C ends" not in said
    assert any(re.search(r"\d\d:\d\d:\d\d a: not there", line) for line in plain(said))
    assert status == 130
