"""A plan of several hosts: judged, and never taken for a plan of this host."""

import subprocess
from pathlib import Path

import pytest

from tests.framework import forked

HOUSE = Path(__file__).parents[2]
PLAN = """\
name: many
networks: {lan: {switch: true, subnet: 10.91.0.0/24}}
hosts: {h1: {address: 10.9.0.1, uplinks: {}}, h2: {address: 10.9.0.2, uplinks: {}}}
vms: {a: {nics: [lan], on: h2}, b: {nics: [lan], on: h2}}
"""


def vmnet(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    (cwd / "vmnet.yaml").write_text(PLAN)
    return subprocess.run(
        ["unshare", "-mn", *forked.program(), *words],
        cwd=cwd,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(HOUSE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_it_is_valid(tmp_path: Path) -> None:
    ran = vmnet("validate", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "vmnet.yaml: 2 VMs, 1 network: valid\n")


@pytest.mark.parametrize("words", ["export hosts", "render a", "explain a b"])
def test_a_command_for_one_host_refuses_it(words: str, tmp_path: Path) -> None:
    ran = vmnet(*words.split(), cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        "vmnet.yaml:4:28: the plan many places its VMs on hosts (h1, h2), and this command is for "
        "plans of one host\n"
        "vms: {a: {nics: [lan], on: h2}, b: {nics: [lan], on: h2}}\n"
        "                           ^\n"
        "  fix: see where each VM is with vmnet status, and log in to its host; for this host "
        "alone leave out on, placement, and uplinks and groups of hosts\n"
    )
    assert not Path("/var/lib/vmnet/many").exists()
    assert not Path("/run/vmnet/many").exists()


def test_it_is_written_down_for_incus_which_has_several_hosts(tmp_path: Path) -> None:
    ran = vmnet("export", "incus", cwd=tmp_path)
    assert ran.returncode == 2
    assert "vmnet.yaml:2:26: network lan stands on an isolated uplink" in ran.stderr
    on_wire = PLAN.replace("switch: true, subnet: 10.91.0.0/24", "uplink: eno1, spoof_guard: off")
    (tmp_path / "wire.yaml").write_text(f"{on_wire}defaults: {{ssh_keys: none}}\n")
    files = ("-f", "wire.yaml", "--image", "micro=local:micro")
    (tmp_path / "out").mkdir()
    ran = vmnet("export", "incus", *files, "--output", "out", cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    made = {one.name: one.read_text() for one in (tmp_path / "out").iterdir()}
    assert sorted(made) == ["vm-a.yaml", "vm-b.yaml", "vmnet.yaml"]
    assert "create local:micro a --vm --target h2 < THIS_FILE\n" in made["vm-a.yaml"]
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "out").iterdir()} == {0o600}
