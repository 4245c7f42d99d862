"""What -q leaves of a report: what has failed, and the last line."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.cli import output
from provisioner.cli.help.screen import SCREEN
from provisioner.errors import Exit
from provisioner.report.report import Report
from tests.builders.report import DEAD, GOOD, report
from tests.framework import forked

HOUSE = Path(__file__).parents[2]
PLAN = """\
name: quiet
networks: {lan: {switch: true, subnet: 10.91.0.0/24}}
vms: {a: {nics: [lan]}}
"""


def shown(told: Report, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(SCREEN, "quiet", True)
    output.show(told)
    return out.getvalue().splitlines()


def test_of_a_check_that_is_as_expected_only_the_last_line_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (line,) = shown(replace(report(GOOD), status=Exit.DONE), monkeypatch)
    assert line.startswith("lab: ")


def test_of_a_check_that_failed_the_measurements_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(report(GOOD, DEAD), monkeypatch)
    assert "  fix: ip link set dev nic0 up" in lines
    assert lines[-1].startswith("lab: 1 of 2 measurements are not as expected")


def plan(folder: Path, *words: str, text: str = PLAN) -> tuple[int, str, str]:
    """Run `vmnet plan` in a network and mount namespace of its own."""
    (folder / "vmnet.yaml").write_text(text)
    ran = subprocess.run(
        ["unshare", "-mn", *forked.program(), "plan", *words],
        cwd=folder,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_nothing_is_told_on_the_way_and_of_the_report_the_last_line(
    option: str, tmp_path: Path
) -> None:
    status, out, err = plan(tmp_path, option)
    assert (status, err) == (0, "")
    assert out.splitlines() == [plan(tmp_path)[1].splitlines()[-1]]
    assert out.startswith("quiet: ")


def test_errors_are_told_all_the_same(tmp_path: Path) -> None:
    broken = PLAN.replace("quiet", "Quiet")
    assert plan(tmp_path, "-q", text=broken) == plan(tmp_path, text=broken)
    assert plan(tmp_path, "-q", text=broken)[0] == 2


def test_json_is_whole(tmp_path: Path) -> None:
    assert '"to_do"' in plan(tmp_path, "-q", "--json")[1]
