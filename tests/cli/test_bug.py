"""An exception that nobody has foreseen: one line, status 1, and the traceback for who asks."""

import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.cli.help import bug

HOUSE = Path(__file__).parents[2]
PLAN = "name: lab\nnetworks: {lan: {switch: true}}\nvms: {a: {nics: [lan]}}\n"


def with_a_broken_library(folder: Path, *words: str, **given: str) -> tuple[int, str, str]:
    """Run vmnet where the YAML library fails as no library should."""
    (folder / "vmnet.yaml").write_text(PLAN)
    (folder / "yaml.py").write_text("raise LookupError('no such thing\\x1b[2J')\n")
    ran = subprocess.run(
        [sys.executable, "-m", "provisioner", *words],
        cwd=folder,  # which Python looks for libraries in first
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE), **given},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("words", ["explain a b", "render a"])
def test_a_bug_is_told_in_one_line_with_how_to_report_it(words: str, tmp_path: Path) -> None:
    status, out, err = with_a_broken_library(tmp_path, *words.split())
    what, fix = err.splitlines()
    assert (status, out) == (1, "")
    assert what.startswith(
        "vmnet itself has failed, which is a bug of its own: "
        "LookupError: no such thing\\x1b[2J (plan/load/yaml_tree.py:"
    )
    assert fix.startswith("  fix: say --debug, or VMNET_DEBUG=1 in the environment, and report")


@pytest.mark.parametrize(
    ("words", "given"),
    [(("--debug",), {}), ((), {"VMNET_DEBUG": "1"})],
    ids=["the option", "the environment"],
)
def test_the_traceback_of_a_bug_is_for_who_asks(
    words: tuple[str, ...], given: dict[str, str], tmp_path: Path
) -> None:
    status, out, err = with_a_broken_library(tmp_path, "explain", "a", "b", *words, **given)
    assert (status, out) == (1, "")
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith("LookupError: no such thing\x1b[2J\n")


def test_a_bug_of_the_worker_is_told_by_the_last_line_of_its_traceback() -> None:
    error = RuntimeError("Traceback (most recent call last):\n  File x\nKeyError: 'lan'\n")
    assert bug.told(error).startswith(
        "vmnet itself has failed, which is a bug of its own: KeyError: 'lan'\n"
    )


def test_a_bug_tells_no_secret() -> None:
    told = bug.told(ValueError("cannot read password: hunter2"))
    assert "hunter2" not in told
    assert "ValueError: ***" in told
