"""VMNET_LOG: a JSON object a line, of the levels that are wanted, with no secret in it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provisioner.event_log import EventLog

HOUSE = Path(__file__).parents[2]
PLAN = "name: lab\nnetworks: {lan: {uplink: nic0, addressing: none}}\nvms: {a: {nics: [lan]}}\n"


def vmnet(folder: Path, *words: str, log: str) -> tuple[int, str]:
    (folder / "vmnet.yaml").write_text(PLAN)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE), "VMNET_LOG": log}
    ran = subprocess.run(
        [sys.executable, "-m", "provisioner", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stderr


def entries(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_command_says_how_it_was_begun_and_how_it_ended(tmp_path: Path) -> None:
    status, told = vmnet(tmp_path, "validate", log="info")
    first, last = entries(told)
    assert status == 0
    assert (first["event"], first["argv"], first["cwd"]) == ("begun", ["validate"], str(tmp_path))
    assert (last["event"], last["status"], last["level"]) == ("ended", 0, "info")
    assert first["time"].endswith("Z")


def test_a_file_gets_lines_added_and_is_its_makers_alone(tmp_path: Path) -> None:
    for _ in range(2):
        assert vmnet(tmp_path, "validate", log="v.log") == (0, "")
    log = tmp_path / "v.log"
    assert [entry["event"] for entry in entries(log.read_text())] == ["begun", "ended"] * 2
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    status, told = vmnet(tmp_path, "validate", log="no/v.log")
    assert (status, told.splitlines()[0]) == (
        2,
        "VMNET_LOG: cannot write to no/v.log: No such file or directory",
    )
    (tmp_path / "link").symlink_to("elsewhere")
    assert vmnet(tmp_path, "validate", log="link")[0] == 2


def test_a_bug_is_logged_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise LookupError('no such thing')\n")
    status, told = vmnet(tmp_path, "validate", log="v.log")
    failed = entries((tmp_path / "v.log").read_text())[-1]
    assert (status, failed["event"]) == (1, "failed")
    assert "LookupError: no such thing" in failed["traceback"]
    assert "vmnet support" in told


def test_debug_has_what_info_leaves_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    del tmp_path
    for level, seen in (("info", ["b"]), ("debug", ["a", "b"])):
        log = EventLog()
        log.open(level)
        log.write("debug", "a")
        log.write("info", "b")
        assert [entry["event"] for entry in entries(capfd.readouterr().err)] == seen


def test_secrets_are_masked(tmp_path: Path) -> None:
    log = EventLog()
    log.open(str(tmp_path / "v.log"))
    argv = ["up", "--set", "vms.a.password=hunter2", "--token", "hunter3", "http://me:hunter4@x/"]
    log.write("info", "begun", argv=argv, text="password: hunter5\nall well")
    (entry,) = entries((tmp_path / "v.log").read_text())
    assert "hunter" not in json.dumps(entry)
    assert entry["text"] == "password: ***\nall well"
    assert entry["pid"] == os.getpid()
