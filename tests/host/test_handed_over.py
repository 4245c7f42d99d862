"""Files that vmnet writes for its user belong to them, under sudo as well."""

import os
from pathlib import Path

import pytest

from provisioner.host.probe import capture
from provisioner.host.system import plan_files, whole_files

NOBODY = 65534


@pytest.fixture(autouse=True)
def _sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY))


def owner(path: Path) -> int:
    return path.lstat().st_uid


def test_reports_captures_and_plans_that_are_made_belong_to_the_caller(tmp_path: Path) -> None:
    whole_files.write_report(tmp_path / "report.xml", "x")
    whole_files.append_report(tmp_path / "summary.md", "x")
    plan_files.create(tmp_path / "vmnet.yaml", "x")
    os.close(capture.opened(tmp_path / "a.pcap", force=False))
    assert {path.name: owner(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("report.xml", "summary.md", "vmnet.yaml", "a.pcap"), NOBODY
    )


def test_files_that_were_there_keep_their_owner(tmp_path: Path) -> None:
    for name in ("summary.md", "a.pcap"):
        (tmp_path / name).write_text("root's\n")
    whole_files.append_report(tmp_path / "summary.md", "x")
    os.close(capture.opened(tmp_path / "a.pcap", force=True))
    assert {owner(path) for path in tmp_path.iterdir()} == {0}
    assert (tmp_path / "summary.md").read_text() == "root's\nx"


def test_without_sudo_they_belong_to_whoever_runs_vmnet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_UID")
    whole_files.write_report(tmp_path / "report.xml", "x")
    assert owner(tmp_path / "report.xml") == os.geteuid()
