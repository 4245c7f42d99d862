"""What vmnet takes when there is nothing to do; docs/explanation/benchmarks.md says more.

Run it as root, with the Python that has vmnet's libraries: python benchmarks/noop.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))  # an editable install has it, bare libraries do not

import harness  # noqa: E402
from harness import HOUSE, INSIDE, FailedError, Goal, say  # noqa: E402

_VMNET = (sys.executable, "-m", "provisioner")
_GUESTS = (1, 10, 30)
_MOST_TIMES = 4.0  # `status` of 10 guests against the baseline
_MOST_HELP = 1.1  # `--help` against that of two lines of typer
_VERSION_MS, _COMPLETION_MS = 25.0, 60.0
_WRONG = 5  # a check beside which the host is too busy: nothing was done all the same
_PLAN = """\
name: noop
networks: {{lan: {{switch: true, mode: bridge, subnet: 10.90.0.0/24}}}}
vms: {{g: {{count: {count}, memory: 96M, nics: [lan]}}}}
"""
_TYPER = "import typer\ntyper.run(lambda: None)\n"


@dataclass(frozen=True, slots=True)
class Row:
    """Median seconds with so many guests that run; the baseline asks virsh and ip."""

    guests: int
    baseline_s: float
    up_s: float
    status_s: float
    check_s: float


def main() -> int:
    """Measure, inside a network namespace that is gone afterwards; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=lambda x: [*map(int, x.split(","))], default=_GUESTS)
    parser.add_argument("--rounds", type=int, default=5, help="of each, taking turns")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        if INSIDE not in os.environ:
            return harness.in_namespace(HERE, [[*_VMNET, "image", "build", "micro"]])
        say(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors")
        with tempfile.TemporaryDirectory() as folder:
            starts = _starts(Path(folder))
            rows = [_row(count, options.rounds, Path(folder)) for count in options.guests]
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        print(f"benchmarks/noop.py: {error}", file=sys.stderr)
        return 1
    goals = list(_goals(rows, starts))
    if options.json:
        told = {"noop": [asdict(x) for x in rows], "starts_s": starts}
        print(json.dumps({**told, "goals": [asdict(x) for x in goals]}, indent=2))
    else:
        _write_table(rows, starts, goals)
    return 0


def _starts(folder: Path) -> dict[str, float]:
    """Return the median seconds of what only starts, with those of two lines of typer."""
    program = folder / "two_lines.py"
    program.write_text(_TYPER, encoding="utf-8")
    vmnet = str(Path(sys.executable).with_name("vmnet"))
    complete = ("env", "_VMNET_COMPLETE=complete_bash", "COMP_WORDS=vmnet st", "COMP_CWORD=1")
    return _taking_turns(
        {
            "typer --help": lambda: _wall((sys.executable, str(program), "--help")),
            "--help": lambda: _wall((vmnet, "--help")),
            "--version": lambda: _wall((vmnet, "--version")),
            "completion": lambda: _wall((*complete, vmnet)),
        },
        15,
    )


def _row(count: int, rounds: int, folder: Path) -> Row:
    plan = folder / f"noop{count}.yaml"
    plan.write_text(_PLAN.format(count=count), encoding="utf-8")
    words = str(plan)
    say(f"{count} guests: up")
    try:
        harness.cost([*_VMNET, "up", words], statuses=(0, _WRONG))
        took = _taking_turns(
            {
                "baseline": _baseline,
                "up": lambda: _wall((*_VMNET, "up", words), (0, _WRONG)),
                "status": lambda: _wall((*_VMNET, "status", words)),
                "check": lambda: _wall((*_VMNET, "check", words), (0, _WRONG)),
            },
            rounds,
        )
    finally:
        subprocess.run([*_VMNET, "down", words], cwd=HOUSE, check=True, capture_output=True)
    return Row(count, took["baseline"], took["up"], took["status"], took["check"])


def _baseline() -> float:
    """Ask libvirt for the guests and the kernel for the devices, with the programs for that."""
    root = Path(os.environ["VMNET_RUN_DIR"], "noop")
    # The embedded driver of libvirt 9.0 may crash when virsh ends, behind what it has printed.
    virsh = ("virsh", "-q", "-c", f"qemu:///embed?root={root}", "list", "--all")
    return _wall(virsh, (0, -11)) + _wall(("ip", "-d", "-j", "link"))


def _wall(argv: Sequence[str], statuses: Sequence[int] = (0,)) -> float:
    return harness.cost(argv, statuses=statuses).wall_s


def _taking_turns(each: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the medians of what takes turns, without a first round that warms the caches."""
    seconds: dict[str, list[float]] = {name: [] for name in each}
    for _ in range(1 + rounds):
        for name, measure in each.items():
            seconds[name].append(measure())
    return {name: median(found[1:]) for name, found in seconds.items()}


def _goals(rows: Sequence[Row], starts: dict[str, float]) -> Iterator[Goal]:
    for row in rows:
        if row.guests == 10:
            yield Goal("status of 10 guests, baselines", row.status_s / row.baseline_s, _MOST_TIMES)
    few, many = rows[0], rows[-1]
    if many.guests > few.guests:
        times = many.status_s / few.status_s
        what = f"status of {many.guests} guests against {few.guests}"
        yield Goal(what, times, many.guests / few.guests)
    yield Goal("--help, of typer's", starts["--help"] / starts["typer --help"], _MOST_HELP)
    yield Goal("--version, ms", starts["--version"] * 1000, _VERSION_MS)
    yield Goal("completion, ms", starts["completion"] * 1000, _COMPLETION_MS)


def _write_table(rows: Sequence[Row], starts: dict[str, float], goals: Sequence[Goal]) -> None:
    print("guests   baseline   up, nothing to do   status   (of baseline)   check")
    for x in rows:
        print(
            f"{x.guests:6}   {x.baseline_s:6.2f} s   {x.up_s:15.2f} s   {x.status_s:4.2f} s   "
            f"{x.status_s / x.baseline_s:13.1f}   {x.check_s:4.2f} s"
        )
    print("; ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in starts.items()))
    print("goals: " + "; ".join(map(str, goals)))


if __name__ == "__main__":
    raise SystemExit(main())
