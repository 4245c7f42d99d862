"""vmnet as a user runs it: how long `vmnet up` takes, and what its own processes weigh."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path
from statistics import median
from typing import Any

from harness import FailedError
from rawqemu import Guest

_WEIGH_EVERY_S = 0.1  # often enough for a peak, seldom enough not to starve guests
_TIMEOUT_S = 300
_PLAN = """\
name: up
accel: {accel}
networks:
  lan: {{switch: true, mode: bridge, subnet: 10.90.0.0/24}}
vms:
  g: {{count: {count}, nics: [lan]}}
defaults: {{ssh_keys: none}}
"""
_TWO_LINES = "import typer\ntyper.run(lambda: None)\n"


@dataclass(frozen=True, slots=True)
class Round:
    """One `vmnet up`: seconds from its start to its exit, the guests it left, its peak weight.

    `peak_mib` is 0 when it was not weighed.
    """

    seconds: float
    guests: tuple[Guest, ...]
    peak_mib: float


def write_plan(folder: Path, count: int, accel: str) -> Path:
    """Write a plan of `count` micro guests on a switch."""
    path = folder / f"up{count}.yaml"
    path.write_text(_PLAN.format(count=count, accel=accel), encoding="utf-8")
    return path


def up_and_down(vmnet: Sequence[str], plan: Path, *, weigh: bool = False) -> Round:
    """Bring a plan up, look at its guests, take it down. Raises FailedError unless all is well.

    Weighing takes processor time from what is weighed: such a round is not a measure of time.
    """
    try:
        begun = time.monotonic()
        process = _started([*vmnet, "up", str(plan), "--json"])
        with _weighed(process.pid if weigh else 0) as peaks:
            told = _ended(process)
        seconds = time.monotonic() - begun
        report = json.loads(told)
        if not report["results"] or not all(each["as_expected"] for each in report["results"]):
            raise FailedError(f"vmnet up ended with other results than expected:\n{told}")
        guests = tuple(_guest(vm) for vm in report["vms"])
    finally:
        _ended(_started([*vmnet, "down", str(plan), "--json"]))
    return Round(seconds, guests, max(peaks, default=0) / 1024)


def version_and_typer_s(vmnet: Sequence[str], python: str, folder: Path) -> tuple[float, float]:
    """Give the median seconds of `vmnet --version` and of the `--help` of two lines of typer."""
    program = folder / "two_lines.py"
    program.write_text(_TWO_LINES, encoding="utf-8")
    commands = ([*vmnet, "--version"], [python, str(program), "--help"])
    times: list[list[float]] = [[], []]
    for _ in range(2 + 15):
        for command, seconds in zip(commands, times, strict=True):
            begun = time.monotonic()
            _ended(_started(command))
            seconds.append(time.monotonic() - begun)
    version, typer = (median(seconds[2:]) for seconds in times)  # the first two are to warm up
    return version, typer


def _started(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ended(process: subprocess.Popen[str]) -> str:
    """Give what it wrote. Raises FailedError when its exit status is not 0."""
    with process:
        try:
            told, complaints = process.communicate(timeout=_TIMEOUT_S)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        words = " ".join(map(str, process.args if isinstance(process.args, list) else ()))
        raise FailedError(f"{words} ended with {process.returncode}:\n{complaints}{told}")
    return told


def _guest(vm: dict[str, Any]) -> Guest:
    raw = Path(f"/proc/{vm['pid']}/cmdline").read_bytes()
    argv = tuple(os.fsdecode(word) for word in raw.split(b"\0")[:-1])
    (address,) = vm["addresses"]
    return Guest(vm["name"], IPv4Interface(address).ip, argv)


@contextmanager
def _weighed(root: int) -> Iterator[list[int]]:
    """Collect what the process `root` and its descendants weigh together, in KiB; 0: nothing."""
    weights: list[int] = []
    over = threading.Event()

    def weigh() -> None:
        while not over.wait(_WEIGH_EVERY_S):
            weights.append(sum(map(_pss_kib, _family(root))))

    thread = threading.Thread(target=weigh)
    if root:
        thread.start()
    try:
        yield weights
    finally:
        over.set()
        if root:
            thread.join()


def _family(root: int) -> set[int]:
    """Give `root` and all that descends from it, without the QEMUs and what they started."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        with suppress(OSError, ValueError):  # no process, or one that has ended meanwhile
            pid = int(entry.name)
            name, _, rest = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")
            if "(qemu-system-" not in name:
                children.setdefault(int(rest.split()[1]), []).append(pid)
    found, left = set(), [root]
    while left:
        found.add(pid := left.pop())
        left += children.get(pid, ())
    return found


def _pss_kib(pid: int) -> int:
    process = Path(f"/proc/{pid}")
    with suppress(OSError):  # it has ended meanwhile
        lines = process.joinpath("smaps_rollup").read_text().splitlines()
        if "qemu-system-" not in process.joinpath("exe").readlink().name:  # it has become one
            return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return 0
