"""The ways into real guests: by ssh where the host reaches them, by agent and console everywhere.

`near` is on a switch, where this host reaches it. `far` is on a private NIC of the host's, where it
does not; `near` has a NIC there too, of mode bridge, as has `beside`, which only guests reach.
"""

import fcntl
import hashlib
import os
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from provisioner.cli.plan_file.documents import schema
from tests.framework.lab import Lab, call, until
from tests.framework.plan import PlanUp
from tests.framework.running import PATIENCE_S
from tests.framework.terminal import joined

PLAN = """\
networks:
  lan: {{switch: true, subnet: [10.93.0.0/24, "fd93::/64"]}}
  nic: {{uplink: up0, mode: bridge, subnet: 10.94.0.0/24}}
defaults: {{memory: 128M, ssh_keys: [auto, "{key}"]}}
vms:
  near: {{nics: [lan, nic], ready: [ssh, "command test -e /etc/inittab"]}}
  far: {{nics: [{{network: nic, mode: private}}]}}
  beside: {{nics: [nic]}}
"""


@dataclass(frozen=True, slots=True)
class Here:
    """A plan that is up, and the key that opens its guests."""

    plan: PlanUp
    key: Path

    def getin(self, *words: str | Path, status: int = 0) -> str:
        return self.plan.run(*words, status=status).stdout

    def says(self, *words: str | Path, status: int = 0) -> str:
        return self.plan.run(*words, status=status).stderr

    def fed(self, data: bytes, *words: str | Path) -> "subprocess.CompletedProcess[bytes]":
        argv, env = self.plan.lab.argv(*words), self.plan.lab.environment
        return subprocess.run(
            argv, input=data, capture_output=True, check=False, timeout=PATIENCE_S, env=env
        )


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "id"
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file))
    return file


@pytest.fixture(scope="module")
def plan_text(shared_lab: Lab, key: Path) -> Iterator[str]:
    """The plan, and the NIC that it names."""
    shared_lab.ip("link", "add", "up0", "type", "veth", "peer", "name", "far0")
    for device in ("up0", "far0"):
        shared_lab.ip("link", "set", device, "up")
    yield PLAN.format(key=key.with_suffix(".pub").read_text().strip())
    shared_lab.ip("link", "del", "up0")


@pytest.fixture
def here(plan_up: PlanUp, key: Path) -> Here:
    return Here(plan_up, key)


def _digest(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_ssh_hands_over_words_as_they_are_and_the_exit_status(here: Here) -> None:
    before = [p.read_bytes() for p in [Path.home() / ".ssh/known_hosts"] if p.exists()]
    ran = here.plan.lab.vmnet(
        *("ssh", "-f", here.plan.path, "-i", here.key, "near", "--"),
        *("sh", "-c", 'printf "%s|" "$@"; exit 7', "x", "a b", "$HOME", "'\""),
        status=7,
    )
    assert ran.stdout == "a b|$HOME|'\"|"
    assert [p.read_bytes() for p in [Path.home() / ".ssh/known_hosts"] if p.exists()] == before


def test_ssh_works_at_once_with_a_key_of_the_plans_where_the_caller_has_none(
    here: Here, tmp_path: Path
) -> None:
    lab, no_keys = here.plan.lab, {"HOME": str(tmp_path), "SSH_AUTH_SOCK": ""}
    argv = lab.argv("ssh", "-f", here.plan.path, "near", "--", "hostname")
    ran = lab.running(argv, lab.environment | no_keys).finished()
    assert ran.stdout == "near\n"


def test_another_host_key_than_the_known_one_is_refused(here: Here) -> None:
    file = Path("/var/lib/vmnet", here.plan.path.stem, "known_hosts")
    right = file.read_text()
    wrong = (here.key.with_suffix(".pub")).read_text().split()[1]
    try:
        file.write_text(f"vmnet:{here.plan.path.stem}:near ssh-ed25519 {wrong}\n")
        refused = here.says("ssh", "-i", here.key, "near", "true", status=255)
    finally:
        file.write_text(right)
    assert "Host key verification failed" in refused


def test_where_the_host_cannot_reach_a_guest_it_says_which_way_works(here: Here) -> None:
    refused = here.says("ssh", "far", status=4)
    assert "this host cannot reach far: on nic: " in refused
    assert "vmnet exec far -- …, vmnet cp and vmnet console far need no network" in refused
    assert "host_access: true" in refused


def test_a_guest_that_only_guests_reach_is_jumped_to(here: Here) -> None:
    words = ("ssh", "-i", here.key, "--jump", "near", "beside", "--", "hostname")
    assert here.plan.lab.vmnet(*words[:1], "-f", here.plan.path, *words[1:]).stdout == "beside\n"
    assert "is not another VM of the plan" in here.says("ssh", "--jump", "far9", "near", status=2)


def test_a_ssh_config_is_understood_by_ssh_and_leads_into_all_that_can_be_reached(
    here: Here, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    words = ("export", "ssh-config", "-f", here.plan.path, "-i", here.key)
    file.write_text(here.plan.lab.vmnet(*words).stdout)
    assert "# this host cannot reach far" in file.read_text()
    for vm in ("near", f"{here.plan.path.stem}-beside"):
        argv = ("ssh", "-F", str(file), "-o", "BatchMode=yes", vm, "hostname")
        assert here.plan.lab.run(*argv) == f"{vm.rsplit('-')[-1]}\n"


def test_a_file_goes_there_and_back_by_ssh(here: Here, tmp_path: Path) -> None:
    source, back = tmp_path / "of many: bytes", tmp_path / "back"
    source.write_bytes(os.urandom(3_000_000))
    there = "near:/tmp/by ssh; and so on"
    said = here.says("cp", "-i", here.key, source, there)
    assert said.startswith("by ssh, to root@10.93.0.")
    here.getin("cp", "-i", here.key, there, back)
    assert _digest(back) == _digest(source)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "x").write_text("in a folder\n")
    here.getin("cp", "-r", "-i", here.key, folder, "near:/tmp")
    assert here.plan.inside("near", "cat /tmp/folder/x") == "in a folder\n"


def test_a_file_goes_there_and_back_by_the_agent(here: Here, tmp_path: Path) -> None:
    source, back = tmp_path / "five", tmp_path / "back"
    source.write_bytes(os.urandom(1_500_000))
    source.chmod(0o750)
    said = here.says("cp", source, "far:/tmp")
    assert said.startswith("not by ssh: this host cannot reach far: ")
    assert "by the guest agent, which needs no network" in said
    told = here.plan.inside("far", "md5sum /tmp/five; stat -c %a /tmp/five; ls /tmp")
    assert told.split() == [_digest(source), "/tmp/five", "750", "five"]  # noqa: S108
    here.getin("cp", "far:/tmp/five", back)
    assert _digest(back) == _digest(source)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["back", "five"]


def test_what_cannot_be_copied_leaves_nothing_behind(here: Here, tmp_path: Path) -> None:
    missing = here.says("cp", "far:/tmp/nowhere", tmp_path / "x", status=4)
    assert "No such file or directory" in missing
    assert list(tmp_path.iterdir()) == []
    for words, why in (
        (("far:/a", "near:/b"), "both of the two are in guests"),
        (("/a", "./b"), "neither of the two is in a guest"),
        (("elsewhere:/a", "b"), 'the plan has no VM "elsewhere"'),
        (("-r", "--way", "agent", str(tmp_path), "far:/tmp"), "no folders"),
    ):
        assert why in here.says("cp", *words, status=2)
    with (tmp_path / "large").open("wb") as large:
        large.truncate((256 << 20) + 1)
    refused = here.says("cp", tmp_path / "large", "far:/tmp", status=2)
    assert "more than the 256 MiB that go through a guest agent" in refused


def test_exec_passes_input_output_and_status_with_no_network(here: Here) -> None:
    script = "cat; echo wrong >&2; exit 9"
    ran = here.fed(b"in\xff\n", "exec", "-f", here.plan.path, "far", "--", "sh", "-c", script)
    assert (ran.returncode, ran.stdout, ran.stderr) == (9, b"in\xff\n", b"wrong\n")
    here.plan.inside("far", "kill -TERM $$", status=128 + signal.SIGTERM)
    here.plan.inside("far", "exec no-such-program", status=127)


def test_exec_takes_much_input_and_gives_what_output_it_can(here: Here) -> None:
    data = os.urandom(700_000)
    ran = here.fed(data, "exec", "-f", here.plan.path, "far", "--", "md5sum")
    assert ran.stdout.split()[0].decode() == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert here.plan.inside("far", "ls /tmp | grep -v five || true") == ""
    flood = "head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2; exit 3"
    ran = here.fed(b"", "exec", "-f", here.plan.path, "far", "--", "sh", "-c", flood)
    assert (ran.returncode, ran.stdout) == (3, b"x" * (2 << 20))
    assert ran.stderr.startswith(b"end\ntruncated: ")
    refused = here.fed(bytes((16 << 20) + 1), "exec", "-f", here.plan.path, "far", "--", "cat")
    assert refused.returncode == 2
    assert b"more than the 16 MiB" in refused.stderr


def test_a_console_is_typed_into_and_left_and_the_terminal_is_as_before(here: Here) -> None:
    with joined(here.plan.lab, here.plan.path, "far") as console:
        until(console.is_raw, "the terminal is raw")
        console.types(b"\necho $((40 + 2))th\n")
        console.sees(b"42th")
        second = here.says("console", "far", status=3)
        assert "another vmnet console is joined to this VM" in second
        console.types(b"\x1d")
        assert console.process.wait(PATIENCE_S) == 0


def test_another_key_leaves_a_console_when_it_was_asked_for(here: Here) -> None:
    with joined(here.plan.lab, here.plan.path, "--escape", "^a", "far") as console:
        until(console.is_raw, "the terminal is raw")
        console.types(b"\x1d\x1d\necho still $((1 + 1))\n")
        console.sees(b"still 2")
        console.types(b"\x01")
    assert "is not a key" in here.says("console", "--escape", "^c", "far", status=2)


def test_a_console_that_is_told_to_end_gives_the_terminal_back(here: Here) -> None:
    with joined(here.plan.lab, here.plan.path, "far") as console:
        until(console.is_raw, "the terminal is raw")
        console.process.send_signal(signal.SIGTERM)
        assert console.process.wait(PATIENCE_S) == 143


def test_a_guest_learns_the_size_of_our_terminal_and_its_changes(here: Here) -> None:
    with joined(here.plan.lab, here.plan.path, "--resize", "far") as console:
        until(lambda: here.plan.inside("far", "stty -F /dev/ttyS0 size") == "41 132\n", "the size")
        fcntl.ioctl(console.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 99, 0, 0))
        until(lambda: here.plan.inside("far", "stty -F /dev/ttyS0 size") == "30 99\n", "a new size")
        console.types(b"\x1d")


def test_what_no_terminal_gets_from_a_console_is_harmless(here: Here) -> None:
    running = here.plan.lab.start("console", "-f", here.plan.path, "far")
    try:
        until(
            lambda: (
                here.plan.inside("far", r"printf '\033]0;x\007\233evil\n' > /dev/ttyS0") == ""
                and "evil" in running.stdout
            ),
            "it hears the guest",
        )
    finally:
        running.process.terminate()
    out = running.finished(143).stdout
    assert "\\x1b]0;x\\x07" in out
    assert "\x1b" not in out


def test_logs_are_harmless_unless_raw_ones_are_asked_for(here: Here) -> None:
    here.plan.inside("far", r"printf '\033[2Jhostile\r\n' > /dev/ttyS0")
    until(lambda: "hostile" in here.getin("logs", "far"), "the log has it")
    assert "\\x1b[2Jhostile" in here.getin("logs", "-n", "5", "far")
    raw = here.fed(b"", "logs", "--raw", "far", "-p", here.plan.path).stdout
    assert b"\x1b[2Jhostile\r" in raw
    assert len(here.getin("logs", "-n", "2", "far").splitlines()) <= 2


def test_a_log_of_20_mib_is_cut_short_and_goes_on(here: Here) -> None:
    log = Path("/var/lib/vmnet", here.plan.path.stem, "console/far.log")
    with log.open("ab") as file:  # as QEMU does; through a guest's UART it would take many minutes
        for number in range(20 << 10):
            file.write(b"%1023d\n" % number)
    whole = log.stat().st_size
    here.plan.inside("far", "true")  # a command that only looks at the plan
    assert log.stat().st_size == whole
    here.plan.lab.vmnet("up", here.plan.path)
    assert log.stat().st_size < 1 << 20
    kept = log.with_name("far.log.1")
    assert kept.stat().st_size == 4 << 20
    assert kept.stat().st_mode & 0o777 == 0o600
    here.plan.inside("far", "echo after the cut > /dev/ttyS0")
    until(lambda: "after the cut" in here.getin("logs", "-n", "3", "far"), "QEMU goes on")
    assert log.read_bytes()[:1] != b"\0"
    assert "20479" in here.getin("logs", "-n", "100", "far")


def test_the_guests_own_words_are_in_the_wide_status(here: Here) -> None:
    report = here.plan.lab.vmnet("status", here.plan.path, "--wide", "--json").report
    jsonschema.validate(report, schema("status"))
    guests = {vm["name"]: vm["guest"] for vm in report["vms"]}
    assert {name: guest["hostname"] for name, guest in guests.items()} == {
        "near": "near",
        "far": "far",
        "beside": "beside",
    }
    assert guests["far"]["os"].startswith("vmnet micro")
    assert len(guests["far"]["load"]) == 3
    assert guests["far"]["nics"][0]["addresses"][0].startswith("10.94.0.")
    table = here.plan.lab.vmnet("status", here.plan.path, "--wide").stdout
    assert "says its addresses are" in table
    plain = here.plan.lab.vmnet("status", here.plan.path, "--json").report
    assert [vm for vm in plain["vms"] if "guest" in vm] == []


def test_a_vm_is_up_when_all_its_signs_hold_and_what_is_missing_is_told(here: Here) -> None:
    def checked(*ready: str, status: int) -> str:
        signs = "".join(f'"{one}", ' for one in ready)
        words = ("--timeout", "8", "--set", f"vms.far.ready=[{signs}]")
        ran = here.plan.lab.vmnet("check", here.plan.path, *words, status=status)
        return ran.stderr + ran.stdout

    result = "mkdir -p /run/cloud-init; echo '%s' > /run/cloud-init/result.json"
    lacking = checked("agent", "cloud-init", "command echo why; exit 4", status=5)
    assert "far is not up: it lacks cloud-init: it has not ended; command echo why" in lacking
    assert ": exit status 4, why" in lacking
    assert "the last lines of far's console:" in lacking
    here.plan.inside("far", result % '{"v1": {"errors": ["no \\u001b[2J mirror"]}}')
    failed = checked("cloud-init", status=5)
    assert "it lacks cloud-init: it ended with errors: no \\x1b[2J mirror" in failed
    here.plan.inside("far", result % '{"v1": {"errors": []}}')
    held = checked("cloud-init", "tcp/22", "address", "ssh", "started", status=0)
    assert "far is up after" in held


def test_following_a_log_ends_with_the_vm(plan_restored: PlanUp) -> None:
    plan = plan_restored
    running = plan.lab.start("logs", "-p", plan.path, "-f", "-n", "1", "beside")
    until(
        lambda: (
            plan.inside("beside", "echo said while followed > /dev/ttyS0") == ""
            and "said while followed" in running.stdout
        ),
        "it follows",
    )
    plan.lab.start("exec", "-f", plan.path, "beside", "--", "poweroff", "-f").finished(None)
    until(lambda: "Power down" in running.stdout, "it has switched itself off")
    # QEMU stays, stopped, until libvirt ends it; the embedded one is there while a command runs.
    plan.lab.vmnet("status", plan.path)
    assert running.finished(0).status == 0
