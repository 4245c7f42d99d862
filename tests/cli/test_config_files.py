"""The files of defaults, /etc/vmnet/config.yaml and the user's own: whose are taken, and told."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.framework import forked

HOUSE = Path(__file__).parents[2]
PLAN = """\
name: lab
networks: {lan: {uplink: nic0, addressing: none}}
vms: {web: {nics: [lan]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    (tmp_path / "xdg" / "vmnet").mkdir(parents=True)
    return tmp_path


def render(folder: Path, **more: str) -> tuple[int, str, str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(HOUSE),
        "HOME": str(folder),
        "VMNET_CONFIG": str(folder / "host.yaml"),
        "XDG_CONFIG_HOME": str(folder / "xdg"),
        **more,
    }
    ran = subprocess.run(
        [*forked.program(), "render"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


def test_the_users_own_comes_before_that_of_the_host(folder: Path) -> None:
    (folder / "host.yaml").write_text("memory: 640M\ncpus: 3\nguest_users: off\n")
    (folder / "xdg/vmnet/config.yaml").write_text("memory: 320M\n")
    status, xml, _ = render(folder)
    assert status == 0
    assert ">320</memory>" in xml
    assert ">3</vcpu>" in xml


def test_a_file_of_somebody_elses_is_refused(folder: Path) -> None:
    own = folder / "xdg/vmnet/config.yaml"
    own.write_text("memory: 320M\n")
    os.chown(own, 65534, 65534)
    status, _, told = render(folder)
    assert (status, told.startswith(f"{own} cannot be used: it is no readable file")) == (2, True)
    assert render(folder, SUDO_UID="65534")[0] == 0


@pytest.mark.parametrize("kind", ["link", "open to all", "pipe"])
def test_a_file_that_leads_elsewhere_or_that_others_write_is_refused(
    folder: Path, kind: str
) -> None:
    own = folder / "xdg/vmnet/config.yaml"
    match kind:
        case "link":
            own.symlink_to("/etc/passwd")
        case "pipe":
            os.mkfifo(own)
        case _:
            own.write_text("memory: 320M\n")
            own.chmod(0o666)
    status, out, told = render(folder, SUDO_UID="65534" if kind == "link" else "")
    assert (status, out) == (2, "")
    assert "cannot be used" in told
    assert "root:x" not in told


def test_complaints_name_the_place(folder: Path) -> None:
    own = folder / "xdg/vmnet/config.yaml"
    own.write_text("memory: lots\n")
    assert render(folder)[2].startswith(f'{own}:1:9: "lots" is not an amount of memory')


def test_validate_judges_the_plan_alone(folder: Path) -> None:
    (folder / "xdg/vmnet/config.yaml").write_text("memory: lots\n")
    environment = {**os.environ, "PYTHONPATH": str(HOUSE), "XDG_CONFIG_HOME": str(folder / "xdg")}
    ran = subprocess.run(
        [*forked.program(), "validate", "--json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout)["errors"] == []
