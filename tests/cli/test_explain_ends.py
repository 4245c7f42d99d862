"""vmnet explain as it is typed: two names; an arrow in quotes only, since shells redirect at >."""

import subprocess
import sys
from pathlib import Path

import pytest

VMNET = Path(sys.executable).with_name("vmnet")
PLAN = """\
name: lab
networks: {lan: {uplink: nic0, subnet: 10.0.0.0/24}}
vms: {web1: {nics: [lan]}, db1: {nics: [lan]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a plan, and a file that bears the name of a VM."""
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    (tmp_path / "db1").write_text("dear\n")
    return tmp_path


def typed(line: str, folder: Path) -> tuple[int, str, str]:
    ran = subprocess.run(
        ["sh", "-c", f"{VMNET} {line}"], cwd=folder, capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize(
    "ends", ["web1 db1", '"web1 -> db1"', "'web1->db1'", "'web1 -/> db1'", "db1 192.0.2.1"]
)
def test_two_names_or_one_quoted_arrow_are_explained(ends: str, folder: Path) -> None:
    status, told, complaint = typed(f"explain {ends}", folder)
    assert (status, complaint) == (0, "")
    assert told.splitlines()[0].startswith(("web1 -> db1 on", "db1 -> 192.0.2.1 on"))
    assert (folder / "db1").read_text() == "dear\n"


@pytest.mark.parametrize(
    "ends", ["web1 -> db1", "web1 -/> db1", "web1->db1", "web1 - db1", "web1 '->' db1"]
)
def test_an_arrow_without_quotes_is_refused_and_the_redirect_is_named(
    ends: str, folder: Path
) -> None:
    status, told, complaint = typed(f"explain {ends}", folder)
    assert (status, told) == (2, "")
    assert complaint == (
        "the shell takes the > of an arrow for a redirect, which empties the file after it\n"
        "  fix: write two names, without an arrow: vmnet explain web1 db1\n"
    )


@pytest.mark.parametrize("ends", ["web1", "web1 db1 db1", "web1 --jsn", "'web1 db1'"])
def test_anything_else_than_two_names_is_refused(ends: str, folder: Path) -> None:
    status, told, complaint = typed(f"explain {ends}", folder)
    assert (status, told) == (2, "")
    assert complaint.splitlines()[1] == "  fix: write two names: vmnet explain web1 db1"
