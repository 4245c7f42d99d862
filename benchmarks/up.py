"""What `vmnet up` costs beyond the guests themselves; benchmarks.md says how to read it.

Run it as root, with the Python that has vmnet's libraries: python benchmarks/up.py
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
HOUSE = HERE.parent.parent
sys.path.insert(0, str(HOUSE))  # an editable install has it, a bare set of libraries does not

import harness  # noqa: E402
import rawqemu  # noqa: E402
import vmnetruns  # noqa: E402
from harness import INSIDE, FailedError, Goal, say  # noqa: E402

_MOST_TIMES = {1: 1.6, 4: 1.3, 10: 1.25}
_MOST_MIB = 120
_MOST_TYPERS = 1.3


@dataclass(frozen=True, slots=True)
class Timed:
    """One number of guests: the seconds of each round, and vmnet's peak weight."""

    guests: int
    floor_s: tuple[float, ...]
    vmnet_s: tuple[float, ...]
    peak_mib: float
    other_s: tuple[float, ...] = ()  # of --against

    @property
    def ratio(self) -> float:
        """How many floors one `vmnet up` takes, medians by medians."""
        return median(self.vmnet_s) / median(self.floor_s)

    @property
    def ratio_of_minima(self) -> float:
        """The same with the quickest round of each: less of the host's other work is in it."""
        return min(self.vmnet_s) / min(self.floor_s)

    @property
    def against(self) -> str:
        """Say how much longer one `vmnet up` takes than the other vmnet's."""
        by_median, by_minimum = (
            (of(self.vmnet_s) / of(self.other_s) - 1) * 100 for of in (median, min)
        )
        return (
            f"{self.guests:6}   the other {min(self.other_s):.2f} s min, "
            f"{median(self.other_s):.2f} s median; this one takes {by_median:+.1f} % "
            f"(of minima {by_minimum:+.1f} %)"
        )


def main() -> int:
    """Measure, inside a network namespace that is gone afterwards; give the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _options()
    if not options.vmnet:
        os.chdir(HOUSE)  # where `-m provisioner` is found
    if os.geteuid() != 0:
        print("benchmarks/up.py makes network devices: run it as root", file=sys.stderr)
        return 1
    try:
        return _inside(options) if INSIDE in os.environ else _outside(options)
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        print(f"benchmarks/up.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(sys.executable).with_name("vmnet")
    parser.add_argument("--guests", type=_numbers, default=(1, 4, 10), help="1,4,10")
    parser.add_argument("--rounds", type=int, default=3, help="of each, taking turns")
    parser.add_argument("--accel", default="auto", choices=("auto", "kvm", "tcg"))
    parser.add_argument("--vmnet", type=Path, default=beside if beside.exists() else None)
    parser.add_argument("--against", type=Path, help="another vmnet, which takes turns with it")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def _vmnet(options: argparse.Namespace) -> tuple[str, ...]:
    if options.vmnet:
        return (str(options.vmnet.absolute()),)
    return (sys.executable, "-m", "provisioner")


def _other(options: argparse.Namespace) -> tuple[str, ...]:
    return (str(options.against.absolute()),) if options.against else ()


def _outside(options: argparse.Namespace) -> int:
    """Run this program again in a network namespace of its own."""
    both = (_vmnet(options), _other(options))
    return harness.in_namespace(
        HERE, [[*vmnet, "image", "build", "micro"] for vmnet in both if vmnet]
    )


def _inside(options: argparse.Namespace) -> int:
    folder = Path(os.environ["VMNET_RUN_DIR"], "raw")
    folder.mkdir()
    vmnet = _vmnet(options)
    say(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors; warming the caches")
    other = _other(options)
    for each in filter(None, (vmnet, other)):
        vmnetruns.up_and_down(each, vmnetruns.write_plan(folder, 1, options.accel))
    say("the start of vmnet and of typer")
    version_s, typer_s = vmnetruns.version_and_typer_s(vmnet, sys.executable, folder)
    timed = []
    for count in options.guests:
        plan = vmnetruns.write_plan(folder, count, options.accel)
        timed.append(_timed(vmnet, plan, options.rounds, folder, other))
    goals = _goals(timed, version_s / typer_s)
    if options.json:
        _write_json(timed, version_s, typer_s, goals)
    else:
        _write_table(timed, version_s, typer_s, goals)
    return 0


def _timed(
    vmnet: Sequence[str], plan: Path, rounds: int, folder: Path, other: Sequence[str]
) -> Timed:
    """Measure one plan: weigh vmnet and learn QEMU's command lines, then the rounds."""
    say(f"{plan.stem}: weighing vmnet")
    weighed = vmnetruns.up_and_down(vmnet, plan, weigh=True)
    floor_s, vmnet_s, other_s = [], [], []
    for number in range(1, rounds + 1):
        floor_s.append(rawqemu.round_s(weighed.guests, folder))
        vmnet_s.append(vmnetruns.up_and_down(vmnet, plan).seconds)
        if other:
            other_s.append(vmnetruns.up_and_down(other, plan).seconds)
        say(f"{plan.stem}: round {number}: raw {floor_s[-1]:.2f} s, vmnet {vmnet_s[-1]:.2f} s")
    times = tuple(floor_s), tuple(vmnet_s)
    return Timed(len(weighed.guests), *times, weighed.peak_mib, tuple(other_s))


def _goals(timed: Sequence[Timed], typers: float) -> list[Goal]:
    return [
        *(
            Goal(f"ratio at {each.guests}", each.ratio, _MOST_TIMES[each.guests])
            for each in timed
            if each.guests in _MOST_TIMES
        ),
        Goal("MiB", max(each.peak_mib for each in timed), _MOST_MIB),
        Goal("--version", typers, _MOST_TYPERS),
    ]


def _write_table(
    timed: Sequence[Timed], version_s: float, typer_s: float, goals: Sequence[Goal]
) -> None:
    print("guests   raw QEMU min  median   vmnet up min  median   ratio  of minima   peak PSS")
    for each in timed:
        print(
            f"{each.guests:6}   {min(each.floor_s):10.2f} s {median(each.floor_s):5.2f} s"
            f"   {min(each.vmnet_s):10.2f} s {median(each.vmnet_s):5.2f} s"
            f"   {each.ratio:5.2f}  {each.ratio_of_minima:9.2f}   {each.peak_mib:4.0f} MiB"
        )
    print(
        f"vmnet --version {version_s * 1000:.0f} ms, two lines of typer --help "
        f"{typer_s * 1000:.0f} ms, ratio {version_s / typer_s:.2f}"
    )
    for each in timed:
        if each.other_s:
            print(each.against)
    print("goals: " + "; ".join(map(str, goals)))


def _write_json(
    timed: Sequence[Timed], version_s: float, typer_s: float, goals: Sequence[Goal]
) -> None:
    rows = [
        {**asdict(each), "ratio": each.ratio, "ratio_of_minima": each.ratio_of_minima}
        for each in timed
    ]
    told = [{**asdict(goal), "met": goal.measured <= goal.most} for goal in goals]
    print(
        json.dumps(
            {"up": rows, "version_s": version_s, "typer_help_s": typer_s, "goals": told}, indent=2
        )
    )


if __name__ == "__main__":
    raise SystemExit(main())
