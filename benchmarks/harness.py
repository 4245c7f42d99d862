"""What the benchmarks share: a namespace of their own, goals, the processor time of a command."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
INSIDE = "VMNET_BENCH_INSIDE"
NIC, STATION = "nic0", "10.90.0.1"
LAN = f"{os.environ.get(INSIDE, '')}-lan"


class FailedError(Exception):
    """Something that was to be measured did not run."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Something measured, and the most that it should be."""

    what: str
    measured: float
    most: float

    def __str__(self) -> str:
        met = "met" if self.measured <= self.most else "MISSED"
        return f"{self.what} {self.measured:.2f} <= {self.most:g} {met}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took: seconds by the clock, of processors, the most memory of one process."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def cost(argv: Sequence[str], *, statuses: Sequence[int] = (0,)) -> Cost:
    """Run a command, and return what it and all that it has waited for took.

    Raises FailedError when it ends with another status.
    """
    begun = time.monotonic()
    child = subprocess.Popen(
        argv,
        cwd=HOUSE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    assert child.stderr  # noqa: S101  (for the type checker)
    with child.stderr as stderr:
        complaints = stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in statuses:
        raise FailedError(f"{' '.join(argv)} ended with {child.returncode}:\n{complaints[-2000:]}")
    seconds = time.monotonic() - begun
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def in_namespace(program: Path, images: Sequence[Sequence[str]] = ()) -> int:
    """Run a program again in a network namespace of its own; return its exit status.

    `images` are commands that make what needs a way out of the namespace.
    """
    for build in images:
        subprocess.run(build, check=True, stdout=sys.stderr, cwd=HOUSE)
    name = f"vmnet-bench-{os.getpid()}"
    argv = ["ip", "netns", "exec", name, sys.executable, str(program), *sys.argv[1:]]
    # Everything vmnet leaves goes here, and the caches stay the user's own. In /run, since the
    # user that QEMU runs as must reach it, and a Unix socket's path is short.
    folder = Path("/run", name)
    with ExitStack() as stack:
        folder.mkdir(mode=0o755)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)  # down takes empty ones away
        subprocess.run(["ip", "netns", "add", name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        stack.callback(_end_all_in, name)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        # A session of its own: Ctrl-C is for us, and reaches it once.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        places = {"VMNET_RUN_DIR": str(folder), "VMNET_STATE_DIR": str(folder / "state")}
        environment |= {**places, INSIDE: name}
        with subprocess.Popen(argv, env=environment, start_new_session=True) as inside:
            try:
                return inside.wait()
            except KeyboardInterrupt:
                inside.send_signal(signal.SIGINT)
                inside.wait()
                raise


def _end_all_in(namespace: str) -> None:
    """End what is left in our own namespace, when a run was cut short."""
    listed = subprocess.run(
        ["ip", "netns", "pids", namespace], check=True, capture_output=True, text=True
    )
    for pid in map(int, listed.stdout.split()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def cabled_nic(*, reflects: bool = False) -> Iterator[str]:
    """Cable a NIC to a switch in the network namespace LAN; a machine there has STATION.

    Yields the NIC's name. `reflects`: the switch sends frames back to where they came from.
    """
    subprocess.run(["ip", "netns", "add", LAN], check=True)
    try:
        for line in (
            f"ip link add {NIC} type veth peer name far netns {LAN}",
            f"ip -n {LAN} link add sw type bridge forward_delay 0",
            f"ip -n {LAN} link set far master sw addrgenmode none up",
            f"ip -n {LAN} link set far type bridge_slave hairpin {'on' if reflects else 'off'}",
            f"ip -n {LAN} link set sw addrgenmode none up",
            f"ip -n {LAN} address add {STATION}/24 dev sw",
            f"ip link set {NIC} addrgenmode none up",
        ):
            subprocess.run(line.split(), check=True)
        try:
            yield NIC
        finally:  # it would go with the namespace, but some time later
            subprocess.run(["ip", "link", "del", NIC], check=True)
    finally:
        subprocess.run(["ip", "netns", "del", LAN], check=True)


def say(text: str) -> None:
    """Tell how far a benchmark is."""
    print(text, file=sys.stderr, flush=True)
