"""A VM of a plan of several hosts is got into from the controller, on whichever host it is."""

import os
import signal
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import pytest

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
        if b"\0console\0" in (proc / "cmdline").read_bytes():
            terminal = os.open(proc / "fd" / "0", os.O_RDONLY | os.O_NOCTTY)
            try:
                return not termios.tcgetattr(terminal)[3] & termios.ICANON
            finally:
                os.close(terminal)
    return False


def test_a_program_runs_in_a_vm_with_its_input_and_its_status(fabric: Fabric, plan: Path) -> None:
    script = "hostname; cat; printf '\\033[31m' >&2; exit 7"
    words = ("exec", "-f", str(plan), "far", "--", "sh", "-c", script)
    ran = subprocess.run(
        fabric.control.argv(*words),
        input=b"typed\n",
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
        env=fabric.control.environment,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, b"far\ntyped\n", b"\x1b[31m")


def test_a_file_goes_into_a_vm_and_comes_back_as_it_was(fabric: Fabric, plan: Path) -> None:
    name = f"-a {plan.stem}"
    here, back = fabric.control.directory / name, fabric.control.directory / "back"
    here.write_bytes(os.urandom(300_000))
    here.chmod(0o640)
    fabric.control.vmnet("cp", "-f", plan, f"./{name}", "far:/etc")
    shown = fabric.control.vmnet("exec", "-f", plan, "far", "--", "stat", "-c%a", f"/etc/{name}")
    assert shown.stdout == "640\n"
    fabric.control.vmnet("cp", "-f", plan, f"far:/etc/{name}", back)
    assert back.read_bytes() == here.read_bytes()
    ran = fabric.control.vmnet("cp", "-f", plan, "far:/nowhere", back, status=4)
    assert "/nowhere" in ran.stderr
    assert back.read_bytes() == here.read_bytes()
    assert fabric.host("h2").run("find", gettempdir(), "-path", f"*/tmp.*/{name}") == ""


def test_ssh_leads_from_the_host_into_a_vm_that_it_reaches(fabric: Fabric, plan: Path) -> None:
    words = ("--", "sh", "-c", 'printf "%s|" "$@"; exit 7', "x", "a b", "$HOME")
    ran = fabric.control.vmnet("ssh", "-f", plan, "near", *words, status=7)
    assert ran.stdout == "a b|$HOME|"
    ran = fabric.control.vmnet("ssh", "-f", plan, "far", status=4)
    assert ran.stderr.startswith("h2: this host cannot reach far: on lan: ")
    assert "fix: on h2: vmnet exec far" in ran.stderr


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


def test_where_a_vm_is_while_its_host_is_silent_is_not_known(fabric: Fabric, plan: Path) -> None:
    with fabric.host("h2").cut():
        ran = fabric.control.vmnet("exec", "-f", plan, "far", "--", "true", status=4)
        assert ran.stderr.startswith("on which host VM far is, is not known: h2 does not answer (")
        assert "fix: bring h2 back, then run the command again" in ran.stderr
        # The plan says on which host the other one is, so nobody else is asked.
        ran = fabric.control.vmnet("exec", "-f", plan, "near", "--", "hostname")
        assert ran.stdout == "near\n"
