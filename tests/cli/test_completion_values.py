"""Words that a plan or this host knows, completed without a worker and without a heavy import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.cli.completion import answer, index

HOUSE = Path(__file__).parents[2]
PLAN = """\
name: lab
networks: {lan: {switch: true}, dmz: {switch: true}}
vms:
  web: {count: 2, nics: [lan, {network: dmz}]}
  db: {nics: lan}
  "$(id)": {nics: [lan]}
  "\\e[2J": {nics: [lan]}
"""

ASKED = """\
import sys
from provisioner.__main__ import main

try:
    main()
finally:
    heavy = {"typer", "pydantic", "libvirt", "pyroute2", "jinja2"}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a plan in it, and a state of vmnet's own."""
    for name in ("VMNET_FILE", "_VMNET_COMPLETE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    (tmp_path / "other.yml").write_text("vms: {only: {nics: [lan]}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def words(typed: str) -> list[str]:
    *before, begun = typed.split(" ")
    return list(answer.matching(index.read(), before, begun))


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ssh ", ["web1", "web2", "db"]),
        ("ssh w", ["web1", "web2"]),
        ("console d", ["db"]),
        ("stop web1 ", ["web2", "db"]),
        ("down web", ["web1", "web2"]),
        ("up --only d", ["db"]),
        ("explain web1 d", ["db"]),
        ("link web1.", ["web1.lan", "web1.dmz"]),
        ("capture db.", ["db.lan"]),
        ("link db.lan ", ["up", "down"]),
        ("logs -p other.yml ", ["only"]),
        ("ssh -f other.yml ", ["only"]),
        ("ssh -f nosuch.yaml ", []),
        ("modes p", ["private", "passthru"]),
        ("up --image deb", ["debian-12", "debian-13"]),
        ("image pull micr", ["micro"]),
        ("ssh db -- ", []),
    ],
)
def test_what_the_plan_and_the_catalogue_know_is_offered(
    typed: str, offered: list[str], folder: Path
) -> None:
    del folder
    found = words(typed)
    assert [word for word in found if word in offered] == offered
    assert set(found) <= set(offered) | {"debian-sid"}


def test_the_environment_names_the_plan(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del folder
    monkeypatch.setenv("VMNET_FILE", "other.yml")
    assert words("ssh ") == ["only"]


def test_plans_that_are_up_are_offered_and_their_files_found(folder: Path) -> None:
    for name in ("far", "away", ".images", "not-marked"):
        (folder / "state" / name).mkdir(parents=True)
    (folder / "state/far/.vmnet").write_text(f"far\nfile: {folder}/other.yml\n")
    (folder / "state/away/.vmnet").write_text("away\n")
    assert words("down --name ") == ["away", "far"]
    assert words("ls ") == ["away", "far"]
    assert words("ssh --name far ") == ["only"]
    assert words("ssh --name away ") == []
    assert words("net create --name ") == []


def test_images_of_the_store_are_offered(folder: Path) -> None:
    names = folder / "state/.images/names"
    names.mkdir(parents=True)
    for name in ("mine-1.json", "\x1b[2J.json", "$(id)"):
        (names / name).write_text("")
    assert words("image rm mine") == ["mine-1"]
    assert all(word.isprintable() and "$" not in word for word in words("image rm "))


def test_a_plan_that_cannot_be_read_offers_nothing(folder: Path) -> None:
    for text in ("[", "vms: x", "vms: {1: {count: x}, web: []}", "\xff", "&a [*a]"):
        (folder / "vmnet.yaml").write_bytes(text.encode("latin-1"))
        assert [word for word in words("ssh ") if word not in {"web", "1"}] == []
    (folder / "vmnet.yaml").unlink()
    os.mkfifo(folder / "vmnet.yaml")
    assert words("ssh ") == []


def test_nics_of_the_host_are_offered_with_nothing_heavy_imported(folder: Path) -> None:
    """In a network namespace of its own, which goes with the shell."""
    (folder / "ask.py").write_text(ASKED)
    script = f"ip link add up0 type veth peer name mvt0123456789; exec {sys.executable} ask.py"
    asks = {"_VMNET_COMPLETE": "complete_bash", "COMP_CWORD": "3"}
    asks |= {"COMP_WORDS": "vmnet up --uplink "}
    ran = subprocess.run(
        ["unshare", "-n", "sh", "-ec", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HOUSE), **asks},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("up0\n", "[]\n")
