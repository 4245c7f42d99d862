"""vmnet support: what is in the bundle, whose it is, and what is never in it."""

import json
import os
import subprocess
import tarfile
from pathlib import Path
from stat import S_IMODE

import pytest

from tests.framework import forked

HOUSE = Path(__file__).parents[2]
PLAN = """\
name: support-lab
networks: {lan: {uplink: nosuch0, addressing: none}}
vms:
  web:
    image: debian-12
    nics: [lan]
    password: hunter2
    files: [{path: /etc/x, content: "hunter3\\nhunter4"}]
# the old token: hunter5
"""


def vmnet(folder: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*forked.program(), *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HOUSE), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def members(bundle: Path) -> dict[str, str]:
    with tarfile.open(bundle) as tar:
        found = {member.name.partition("/")[2]: tar.extractfile(member) for member in tar}
        return {name: file.read().decode() for name, file in found.items() if file}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle about a plan whose NIC is not there, packed by a user behind sudo."""
    folder = tmp_path_factory.mktemp("support")
    (folder / "vmnet.yaml").write_text(PLAN)
    known = {"VMNET_TOKEN": "hunter6", "VMNET_LOG": str(folder / "log"), "SUDO_UID": "65534"}
    ran = vmnet(folder, "support", "--output", "b.tar.gz", **known)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("b.tar.gz: versions.txt, environment.txt, plan.yaml, doctor.json")
    return folder / "b.tar.gz"


def test_it_has_versions_facts_the_plan_and_what_vmnet_says_of_it(bundle: Path) -> None:
    found = members(bundle)
    assert {"doctor.json", "validate.json", "plan.json", "status.json"} < found.keys()
    assert "pyroute2 " in found["versions.txt"]
    assert json.loads(found["doctor.json"])["command"] == "doctor"
    assert json.loads(found["validate.json"])["plans"][0]["plan"] == "support-lab"
    assert "nosuch0" in found["plan.err"] + found["plan.json"]
    assert found["plan.err"].splitlines()[-1] in {"exit status 2", "exit status 4"}
    assert '"event": "begun"' in found["vmnet.log"]


def test_no_secret_is_in_it(bundle: Path) -> None:
    found = members(bundle)
    assert "password: ***" in found["plan.yaml"]
    assert [name for name, text in found.items() if "hunter" in text] == []


def test_it_is_the_callers_alone(bundle: Path) -> None:
    about = bundle.stat()
    assert (about.st_uid, S_IMODE(about.st_mode)) == (65534, 0o600)


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "b.tar.gz").write_text("mine")
    ran = vmnet(tmp_path, "support", "--output", "b.tar.gz")
    assert (ran.returncode, ran.stdout) == (4, "")
    assert "without a plan: there is no plan vmnet.yaml" in ran.stderr
    assert (tmp_path / "b.tar.gz").read_text() == "mine"
