"""A VM of a plan of several hosts is got into from the controller, on whichever host it is."""

import os
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

import pytest

from tests.builders.documents import valid
from tests.framework.fabric.hosts import Fabric, Host
from tests.framework.lab import until
from tests.framework.running import PATIENCE_S
from tests.framework.terminal import joined

GUESTS = """\
networks:
  lan: {uplink: lan0, subnet: 10.9.0.0/24, pool: 10.9.0.100-10.9.0.150}
  own: {switch: true, subnet: 10.91.0.0/24}
checks: []
placement: {apart: [near, far]}
defaults: {ssh_keys: auto}
vms:
  near: {on: h1, nics: [own]}
  far: {nics: [lan]}
"""


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    with Fabric(tmp_path_factory.mktemp("fabric"), "h1", "h2").opened() as made:
        yield made


@pytest.fixture(scope="module")
def plan(fabric: Fabric) -> Iterator[Path]:
    path = fabric.plan(GUESTS)
    fabric.control.vmnet("up", path, within_s=300)
    yield path
    fabric.control.vmnet("down", path, "--disks", "--yes")


def has_raw_console(host: Host) -> bool:
    """Return whether `vmnet console` on a host gets what is typed as it is."""
    for pid in host.pids():
        proc = Path("/proc", str(pid))
        with suppress(OSError):  # it has ended meanwhile
            if b"\0console\0" in (proc / "cmdline").read_bytes():
                terminal = os.open(proc / "fd" / "0", os.O_RDONLY | os.O_NOCTTY)
                try:
                    return not termios.tcgetattr(terminal)[3] & termios.ICANON
                finally:
                    os.close(terminal)
    return False


def test_a_file_goes_into_a_vm_where_programs_see_it_and_comes_back(
    fabric: Fabric, plan: Path
) -> None:
    name = f"-a {plan.stem}"
    here, back = fabric.control.directory / name, fabric.control.directory / "back"
    here.write_bytes(os.urandom(300_000))
    here.chmod(0o640)
    fabric.control.vmnet("cp", "-f", plan, f"./{name}", "far:/etc")
    script = 'hostname; stat -c%a "$0"; cat; printf "\\033[31m" >&2; exit 7'
    words = ("exec", "-f", str(plan), "far", "--", "sh", "-c", script, f"/etc/{name}")
    ran = subprocess.run(
        fabric.control.argv(*words),
        input=b"typed\n",
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
        env=fabric.control.environment,
    )
    assert (ran.returncode, ran.stdout) == (7, b"far\n640\ntyped\n")
    assert ran.stderr == b"\x1b[31m"
    fabric.control.vmnet("cp", "-f", plan, f"far:/etc/{name}", back)
    assert back.read_bytes() == here.read_bytes()
    missing = fabric.control.vmnet("cp", "-f", plan, "far:/nowhere", back, status=4)
    assert "/nowhere" in missing.stderr
    assert back.read_bytes() == here.read_bytes()
    # Ansible's own folders come and go meanwhile.
    command = 'find "$1" -path "*/tmp.*/$2" 2> /dev/null || :'
    assert fabric.host("h2").run("sh", "-c", command, "x", gettempdir(), name) == ""


def test_ssh_leads_from_the_host_into_a_vm_that_it_reaches(fabric: Fabric, plan: Path) -> None:
    words = ("--", "sh", "-c", 'printf "%s|" "$@"; exit 7', "x", "a b", "$HOME")
    ran = fabric.control.vmnet("ssh", "-f", plan, "near", *words, status=7)
    assert ran.stdout == "a b|$HOME|"
    ran = fabric.control.vmnet("ssh", "-f", plan, "far", status=4)
    assert ran.stderr.startswith("h2: this host cannot reach far: on lan: ")
    assert "fix: on h2: vmnet exec far" in ran.stderr


def test_a_link_is_set_and_addresses_are_found_on_the_host_of_the_vm(
    fabric: Fabric, plan: Path
) -> None:
    vmnet = fabric.control.vmnet
    assert "10.9.0.1" in vmnet("ip", "-f", plan, "far.lan").stdout
    lost = vmnet("link", "-f", plan, "far.lan", "--loss", "5%").stdout
    assert "loss 5%" in lost
    assert vmnet("link", "-f", plan, "far", "--clear").stdout.count("loss") == 0
    assert "up or down" in vmnet("link", "-f", plan, "far", "left", status=2).stderr


def test_logs_are_followed_until_the_caller_ends(fabric: Fabric, plan: Path) -> None:
    host = fabric.host("h1")
    before = set(host.pids())
    follows = fabric.control.start("logs", "--plan", plan, "near", "--lines", "50", "-f")
    until(lambda: follows.stdout, "a line has come")
    assert set(host.pids()) - before
    os.kill(follows.process.pid, signal.SIGKILL)
    until(lambda: set(host.pids()) <= before, "nothing of it is left on the host")


def test_the_console_is_joined(fabric: Fabric, plan: Path) -> None:
    with joined(fabric.control, plan, "far") as console:
        until(lambda: has_raw_console(fabric.host("h2")), "the terminal there is raw")
        console.types(b"\necho $((40 + 2))th\n")
        console.sees(b"42th")
        console.types(b"\x1d")
        assert console.process.wait(PATIENCE_S) == 0


def test_guests_of_all_hosts_are_saved_and_put_back_or_none_is(fabric: Fabric, plan: Path) -> None:
    host, vmnet = fabric.host("h2"), fabric.control.vmnet
    own = (host.programs / "vmnet").read_text()
    fails = 'case "$*" in *"snapshot save"*) exit 1;; esac\n'
    host.put_vmnet(own.replace("#!/bin/sh\n", f"#!/bin/sh\n{fails}", 1))
    try:
        ran = vmnet("snapshot", "save", "one", "-f", plan, "--json", status=4)
    finally:
        host.put_vmnet()
    assert [error["what"][:3] for error in ran.report["errors"]] == ["the"]
    assert "removing it again on h1: not all hosts could save" in ran.stderr
    saved = vmnet("snapshot", "save", "one", "-f", plan, "--json").report
    valid(saved, "snapshot save")
    assert [x["host"] for x in saved["snapshots"]] == ["h1", "h2"]
    before = {title: x.qemus() for title, x in fabric.hosts.items()}
    assert "--yes" in vmnet("snapshot", "restore", "one", "-f", plan, status=2).stderr
    report = vmnet("snapshot", "restore", "one", "-f", plan, "--yes", "--json").report
    valid(report, "snapshot restore")
    assert {vm["name"]: (vm["host"], vm["state"]) for vm in report["vms"]} == {
        "near": ("h1", "running"),
        "far": ("h2", "running"),
    }
    for title, x in fabric.hosts.items():
        assert x.qemus().keys() == before[title].keys()
        assert set(x.qemus().values()).isdisjoint(before[title].values())
    ran = vmnet("snapshot", "rm", "one", "-f", plan, "--yes")
    assert sorted(ran.stderr.splitlines()) == ["h1: one is gone", "h2: one is gone"]


def test_where_a_vm_is_while_its_host_is_silent_is_not_known(fabric: Fabric, plan: Path) -> None:
    with fabric.host("h2").cut():
        ran = fabric.control.vmnet("exec", "-f", plan, "far", "--", "true", status=4)
        assert ran.stderr.startswith("on which host VM far is, is not known: h2 does not answer (")
        assert "fix: bring h2 back, then run the command again" in ran.stderr
        # The plan says on which host the other one is, so nobody else is asked.
        ran = fabric.control.vmnet("exec", "-f", plan, "near", "--", "hostname")
        assert ran.stdout == "near\n"
