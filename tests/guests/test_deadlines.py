"""What hangs costs its own deadline and no more: QEMU, its neighbours, other programs, vmnet."""

import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.framework.lab import ONE, PAIR, Lab, until

# The deadline is said in the message; this much later the harness would call it a hang.
SLACK_S = 20.0
# Every QEMU whose domain ends in "-a" stops itself before it is QEMU, as long as the file is there.
STALLING = """\
#!/bin/sh
case "$*" in *guest=*-a,*) if [ -e /mnt/stall ]; then kill -STOP $$; fi;; esac
exec /usr/bin/qemu-real "$@"
"""


@contextmanager
def stalling(lab: Lab, directory: Path) -> Iterator[Path]:
    """Let the guest "a" stall at its start while the file that is given is there."""
    script = directory / "qemu"
    script.write_text(STALLING)
    cache = Path("/var/cache/vmnet/libvirt")
    cache.mkdir(parents=True, exist_ok=True)
    with lab.mounted(f"""\
        mount --make-rprivate /
        mount -t tmpfs -o mode=755 none {cache}
        mount -t tmpfs -o mode=755 none /mnt
        mkdir /mnt/up /mnt/work
        mount -t overlay -o lowerdir=/usr/bin,upperdir=/mnt/up,workdir=/mnt/work none /usr/bin
        mv "$(readlink -f /usr/bin/qemu-system-x86_64)" /usr/bin/qemu-real
        rm -f /usr/bin/qemu-system-x86_64
        install -m 755 {script} /usr/bin/qemu-system-x86_64
        touch /mnt/stall
    """):
        yield lab.root / "mnt/stall"


def stalled(lab: Lab) -> int:
    """Wait until the QEMU of the guest "a" is stopped, and give its pid."""

    def found() -> int:
        pid = lab.qemus().get(f"{lab.name}-a", 0)
        return pid if pid and state(pid) == "T" else 0

    return until(found, "QEMU of a is stopped")


def state(pid: int) -> str:
    """Return the state of a process, "" when it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_a_qemu_that_stalls_at_its_start_is_ended_and_delays_nobody(
    lab: Lab, tmp_path: Path
) -> None:
    plan = lab.plan(PAIR)
    with stalling(lab, tmp_path) as stall:
        began = time.monotonic()
        running = lab.start("up", plan, "--timeout", "15")
        pid = stalled(lab)
        ran = running.finished(6, 15 + SLACK_S)
        took = time.monotonic() - began
        said = re.search(
            r"QEMU of a has not answered on its monitor for ([\d.]+) s: process (\d+) is stopped "
            r"\(state T\); it has been ended",
            ran.stderr,
        )
        assert said, ran.stderr
        assert int(said[2]) == pid
        assert float(said[1]) <= 15
        assert took < 15 + SLACK_S
        assert set(lab.qemus()) == {f"{lab.name}-b"}
        assert "b is up after" in ran.stderr
        assert "then run vmnet up again" in ran.stdout + ran.stderr
        stall.unlink()
        again = lab.vmnet("up", plan, "--json").report
        assert again["done"] == [f"create domain {lab.name}-a: missing"]
        lab.vmnet("down", plan)


def test_a_second_interrupt_ends_vmnet_at_once_and_the_next_up_goes_on(
    lab: Lab, tmp_path: Path
) -> None:
    plan = lab.plan(PAIR)
    with stalling(lab, tmp_path) as stall:
        running = lab.start("up", plan)
        pid = stalled(lab)
        running.process.send_signal(signal.SIGINT)
        assert running.runs_for(1.0), "the first interrupt lets the steps finish"
        running.process.send_signal(signal.SIGINT)
        ran = running.finished(130, SLACK_S)
        assert "interrupted again: ended at once; the steps that were under way" in ran.stderr
        assert "vmnet up goes on from there" in ran.stderr
        stall.unlink()
        again = lab.vmnet("up", plan, "--json").report
        assert again["summary"].startswith("all ")
        assert state(pid) == ""
        lab.vmnet("down", plan)


@dataclass(frozen=True, slots=True)
class Up:
    """Two guests that are up; QEMU of the first is stopped."""

    lab: Lab
    plan: Path


@pytest.fixture(scope="module")
def paused(shared_lab: Lab) -> Iterator[Up]:
    plan = shared_lab.plan(PAIR)
    shared_lab.vmnet("up", plan)
    pid = shared_lab.qemus()[f"{shared_lab.name}-a"]
    os.kill(pid, signal.SIGSTOP)
    yield Up(shared_lab, plan)
    os.kill(pid, signal.SIGCONT)


def test_a_stopped_neighbour_does_not_delay_the_guest_beside_it(paused: Up) -> None:
    ran = paused.lab.vmnet("check", paused.plan, "--timeout", "12", status=5, within_s=12 + SLACK_S)
    up = re.search(r"^b is up after ([\d.]+) s$", ran.stderr, re.MULTILINE)
    assert up, ran.stderr
    assert float(up[1]) < 10  # libvirt waits for 30 s until it gives up the stopped one
    assert "a is not up: its guest agent does not answer: its QEMU, process " in ran.stderr


def test_a_program_in_a_stopped_guest_is_given_up_in_time(paused: Up) -> None:
    words = ("exec", "-f", paused.plan, "--timeout", "3", "a", "--", "true")
    ran = paused.lab.vmnet(*words, status=4, within_s=3 + SLACK_S)
    assert "the guest agent of a has not answered after 3 s" in ran.stderr
    paused.lab.vmnet("exec", "-f", paused.plan, "--timeout", "30", "b", "--", "true")


def test_a_wide_status_does_not_wait_for_a_stopped_guest(paused: Up) -> None:
    report = paused.lab.vmnet(
        "status", paused.plan, "--wide", "--json", within_s=10 + SLACK_S
    ).report
    asked = {vm["name"]: vm["guest"] for vm in report["vms"]}
    assert asked["a"]["problem"] == "it is frozen (its process is in state T)"
    assert not asked["b"]["problem"]


SERVED = """\
networks: {lan: {switch: {nat: true, dhcp: true}, subnet: 10.77.0.0/24}}
vms: {a: {nics: [lan], disks: [{size: 64M}]}}
"""


@contextmanager
def with_hanging(lab: Lab, program: str) -> Iterator[dict[str, str]]:
    """Give an environment in which a program never ends, whoever runs it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, program)
        path.write_text("#!/bin/sh\nsleep 1000000\n")
        for each in (path, path.parent):
            each.chmod(0o755)
        yield lab.environment | {"PATH": f"{directory}:{os.environ['PATH']}"}


@pytest.mark.parametrize("program", ["nft", "dnsmasq", "qemu-img"])
def test_a_program_that_hangs_is_ended_and_named(lab: Lab, program: str) -> None:
    plan = lab.plan(SERVED)
    with with_hanging(lab, program) as environment:
        running = lab.running(lab.argv("up", plan, "--timeout", "4"), environment)
        ran = running.finished(None, 4 + SLACK_S)
    assert ran.status in {4, 6}
    said = ran.stdout + ran.stderr
    assert re.search(rf"{program} .*was not done after [\d.]+ s, and has been ended", said), said
    assert f"see what {program} waits for: run it by hand" in said
    assert "sleep" not in " ".join(lab.snapshot().processes)


def test_two_interrupts_end_a_program_that_hangs_with_vmnet(lab: Lab) -> None:
    with with_hanging(lab, "qemu-img") as environment:
        running = lab.running(lab.argv("up", lab.plan(SERVED)), environment)
        until(lambda: "sleep" in " ".join(lab.snapshot().processes), "qemu-img runs")
        for number in (signal.SIGINT, signal.SIGTERM):
            assert running.runs_for(0.3)
            running.process.send_signal(number)
        assert "interrupted again: ended at once" in running.finished(143, SLACK_S).stderr
    until(lambda: "sleep" not in " ".join(lab.snapshot().processes), "it is gone")
    lab.vmnet("down", "--name", lab.name)
    assert lab.snapshot() == lab.before


def test_a_worker_that_is_stopped_does_not_keep_vmnet(lab: Lab) -> None:
    plan = lab.plan(ONE)
    running = lab.start("up", plan)
    running.says("create switch")
    workers = [pid for pid in lab.pids() if _is_worker(pid, running.process.pid)]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    for _ in range(2):
        assert running.runs_for(0.3)
        running.process.send_signal(signal.SIGINT)
    running.finished(130, SLACK_S)
    until(lambda: not any(state(pid) not in {"", "Z"} for pid in workers), "the worker is gone")
    lab.vmnet("down", plan)


def _is_worker(pid: int, vmnet: int) -> bool:
    """Return whether a process is the reaper or the worker of a vmnet."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes()
    return pid != vmnet and words == Path(f"/proc/{vmnet}/cmdline").read_bytes()
