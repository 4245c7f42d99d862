"""vmnet init: a plan for this host, or an example; it is the caller's, and no file is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.plan.load.loader import load
from tests.framework import forked

HOUSE = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (HOUSE / "examples").glob("*.yaml"))


def init(*words: str, cwd: Path) -> tuple[int, str, str]:
    ran = subprocess.run(
        [*forked.program(), "init", *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_there_are_thirteen_examples() -> None:
    assert len(NAMES) == 13


@pytest.mark.parametrize("name", NAMES)
def test_an_example_becomes_the_plan_of_the_folder(name: str, tmp_path: Path) -> None:
    assert init("--example", name, cwd=tmp_path) == (0, f"vmnet.yaml: the example {name}\n", "")
    written = (tmp_path / "vmnet.yaml").read_text()
    example = (HOUSE / "examples" / f"{name}.yaml").read_text()
    assert example == f"# yaml-language-server: $schema=../docs/plan.schema.json\n{written}"
    assert load(written, "vmnet.yaml").plan.name == name


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "vmnet.yaml").write_text("mine")
    (tmp_path / "link.yaml").symlink_to("elsewhere.yaml")
    there, fix = "there is a file vmnet.yaml already", "name another one: --output other.vmnet.yaml"
    told = f"{there}\n  fix: {fix}, or replace it: --force\n"
    assert init("--example", "pair", cwd=tmp_path) == (2, "", told)
    assert init("--example", "pair", "-f", "link.yaml", cwd=tmp_path)[0] == 2
    assert (tmp_path / "vmnet.yaml").read_text() == "mine"
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_it_can_be_written_elsewhere(tmp_path: Path) -> None:
    assert init("--example", "ipv6", "-f", "six.vmnet.yaml", cwd=tmp_path)[0] == 0
    assert load((tmp_path / "six.vmnet.yaml").read_text(), "p").plan.name == "ipv6"
    status, _, told = init("--example", "ipv6", "-f", "no/six.yaml", cwd=tmp_path)
    assert (status, told.splitlines()[0]) == (
        2,
        "cannot write no/six.yaml: No such file or directory",
    )


def test_the_list_has_every_example_and_what_it_is(tmp_path: Path) -> None:
    status, listed, _ = init("--list", cwd=tmp_path)
    title, *rows = listed.splitlines()
    assert (status, title.split()) == (0, ["example", "what", "it", "is"])
    assert [row.split()[0] for row in rows] == NAMES
    assert all(row.endswith(".") and len(row.split()) > 8 for row in rows)
    assert list(tmp_path.iterdir()) == []


NO_EXAMPLE = """\
there is no example "homelap"
  fix: did you mean "homelab"? see: vmnet init --list
"""
NO_WISH = """\
vmnet init takes either --example or --list
  fix: list them with vmnet init --list, then name one: vmnet init --example pair
"""
NO_EXAMPLE_ON_A_NIC = """\
--uplink is about a plan for this host, and an example is none
  fix: leave out --example and --list: vmnet init --uplink NIC
"""
NO_NIC = """\
"lo" is a loopback device: no frame leaves it
  fix: use a network card, or `switch: true` for a network of the plan's own
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--example", "homelap"), NO_EXAMPLE),
        (("--uplink", "eno1", "--example", "pair"), NO_EXAMPLE_ON_A_NIC),
        (("--uplink", "eno1", "--list"), NO_EXAMPLE_ON_A_NIC),
        (("--uplink", "lo"), NO_NIC),
        (("--list", "--example", "pair"), NO_WISH),
    ],
)
def test_what_it_cannot_do_is_answered(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    assert init(*words, cwd=tmp_path) == (2, "", told)
    assert list(tmp_path.iterdir()) == []


NICS = """\
ip link add up0 type veth peer name far0
ip link set up0 up; ip link set far0 up; ip addr add 10.81.0.9/24 dev up0
ip route add default via 10.81.0.1
"""


def test_a_plan_that_fits_the_host_is_written_and_kept(tmp_path: Path) -> None:
    """In a network namespace of its own, which goes with the shell."""
    vmnet = f"{sys.executable} -m provisioner init"
    argv = ["unshare", "-n", "sh", "-ec", f"{NICS}{vmnet}; {vmnet} || {vmnet} --force"]
    environment = {**os.environ, "PYTHONPATH": str(HOUSE), "SUDO_UID": "65534"}
    ran = subprocess.run(
        argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    told = "vmnet.yaml: a plan for this host: vmnet plan, vmnet up\n"
    assert (ran.returncode, ran.stdout) == (0, told * 2)
    assert ran.stderr.startswith("there is a file vmnet.yaml already\n")
    (network,) = load((tmp_path / "vmnet.yaml").read_text(), "vmnet.yaml").plan.networks
    assert network.pool
    assert (network.uplink, str(network.pool[0])) == ("up0", "10.81.0.239")
    assert (tmp_path / "vmnet.yaml").stat().st_uid == 65534
