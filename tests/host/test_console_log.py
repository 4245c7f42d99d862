"""Console logs: bounded while somebody writes them, read from their end, followed to theirs."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.commands.boot.watch import cut_logs
from provisioner.host.guest import console_log
from provisioner.host.system import locks, paths, plan_folders

MIB = 1 << 20


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "web.log"
    plan_folders.own(path)
    return path


@pytest.fixture
def writer(log: Path) -> Iterator[int]:
    """A descriptor such as QEMU has of a log that it appends to."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    yield handle
    os.close(handle)


def fill(handle: int, mib: int) -> None:
    for number in range(mib * 1024):
        os.write(handle, b"%1023d\n" % number)


def test_a_log_that_is_too_large_is_cut_short_under_its_writer(log: Path, writer: int) -> None:
    fill(writer, 17)
    console_log.cap(log.parent)
    os.write(writer, b"goes on\n")
    assert log.read_bytes() == b"goes on\n"
    kept = console_log.kept(log)
    assert kept.stat().st_size == 4 * MIB
    assert kept.stat().st_mode & 0o777 == 0o600
    assert console_log.last_lines(log, 2).split() == [str(17 * 1024 - 1), "goes", "on"]


def test_a_watch_cuts_it_short_but_not_while_another_command_has_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))
    log = paths.folder("lab", "console") / "web.log"
    plan_folders.own(log)
    log.write_bytes(bytes(17 * MIB))
    lock = paths.lock_file("lab")
    with locks.held(lock, "down lab", timeout_s=1, notify=lambda _: None):
        cut_logs("lab")
        assert log.stat().st_size == 17 * MIB
    cut_logs("lab")
    assert log.stat().st_size == 0
    assert not lock.exists()


def test_a_log_of_a_usual_size_stays(log: Path, writer: int) -> None:
    fill(writer, 2)
    console_log.cap(log.parent)
    assert log.stat().st_size == 2 * MIB
    assert not console_log.kept(log).exists()


def test_a_log_that_is_not_appended_to_is_bounded_on_the_disk(log: Path) -> None:
    # A guest that an older vmnet has started: its QEMU goes on where it was, after a hole.
    handle = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    fill(handle, 17)
    console_log.cap(log.parent)
    os.write(handle, b"goes on\n")
    os.close(handle)
    assert log.stat().st_size > 17 * MIB
    assert log.stat().st_blocks * 512 < MIB
    console_log.cap(log.parent)
    assert console_log.last_lines(log, 1) == "goes on"


def test_a_full_disk_is_freed_all_the_same(tmp_path: Path) -> None:
    # A file system that has no room for what would be kept: unshare(1) mounts one of 18 MiB.
    script = (
        "mount -t tmpfs -o size=18m none $1 && head -c 17900000 /dev/zero | tr '\\0' x > $1/web.log"
        " && touch $1/.web.log.own && $2 -c 'import sys, pathlib;"
        " from provisioner.host.guest.console_log import cap; cap(pathlib.Path(sys.argv[1]))' $1"
        " && stat -c %s $1/web.log && ls -A $1"
    )
    import sys

    argv = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert ran.stdout.split() == ["0", ".web.log.own", "web.log"], ran.stderr


def test_the_end_of_a_log_is_read_whatever_is_in_it(log: Path) -> None:
    log.write_bytes(b"one\r\ntwo\x1b[2J\rthree\n\xff four")
    assert console_log.last_lines(log, 3) == "two\\x1b[2J\nthree\n� four"
    assert console_log.last_bytes(log, 1) == b"\xff four"
    assert not console_log.ends_a_line(log)
    assert console_log.last_lines(log.with_name("none.log"), 3) == ""


def test_a_line_without_end_is_read_in_part(log: Path, writer: int) -> None:
    for _ in range(3):
        os.write(writer, b"x" * MIB)
    assert len(console_log.last_lines(log, 10)) == 64 << 10


def test_a_log_is_followed_over_a_cut_until_its_writer_has_ended(log: Path, writer: int) -> None:
    os.write(writer, b"before\n")
    said = bytearray()
    heard = {word: threading.Event() for word in (b"during", b"cut")}

    def hear(data: bytes) -> None:
        said.extend(data)
        for word, event in heard.items():
            if word in said:
                event.set()

    with subprocess.Popen(["sleep", "600"]) as guest:
        following = threading.Thread(target=console_log.follow, args=(log, 7, guest.pid, hear))
        following.start()
        os.write(writer, b"\xffduring\n")
        assert heard[b"during"].wait(20)
        fill(writer, 17)
        console_log.cap(log.parent)
        os.write(writer, b"after the cut\n")
        assert heard[b"cut"].wait(20)
        guest.kill()
        guest.wait()
        following.join(20)
        assert not following.is_alive()
    assert said.startswith(b"\xffduring\n")


def test_a_log_of_somebody_elses_is_neither_cut_nor_removed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.log"
    with mine.open("wb") as file:
        fill(file.fileno(), 17)
    console_log.cap(tmp_path)
    console_log.remove(mine)
    assert mine.stat().st_size == 17 * MIB


def test_a_log_goes_with_what_was_cut_off_it(log: Path, writer: int) -> None:
    fill(writer, 17)
    console_log.cap(log.parent)
    console_log.remove(log)
    console_log.remove(log)
    assert list(log.parent.iterdir()) == []
