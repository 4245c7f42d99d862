"""What plans of 20 to 2,000 NICs cost before anything is touched; benchmarks.md says more.

Run it as root, with the Python that has vmnet's libraries: python benchmarks/scale.py
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))  # an editable install has it, bare libraries do not

import harness  # noqa: E402
from harness import INSIDE, Cost, FailedError, Goal, say  # noqa: E402

_SIZES = (20, 200, 400, 1000, 2000)
_GROUP = 10  # VMs with two NICs each, on two switches
_CPU_S = 1.0  # of `plan` with 400 NICs
_CPU_ALL_S = 10.0  # of load, plan and render with 2,000
_PEAK_MIB = 300.0
_EXPONENT = 1.15

Table = Mapping[str, Mapping[int, Cost]]


def main() -> int:
    """Measure, inside a network namespace that is gone afterwards; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nics", type=lambda x: [*map(int, x.split(","))], default=_SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=("load", "pairs"), help=argparse.SUPPRESS)
    parser.add_argument("plan", nargs="?", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        return _part(options.part, options.plan)
    try:
        if INSIDE not in os.environ:
            vmnet = (sys.executable, "-m", "provisioner")
            return harness.in_namespace(HERE, [[*vmnet, "image", "build", "micro"]])
        table = _measured(options.nics, options.rounds)
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        print(f"benchmarks/scale.py: {error}", file=sys.stderr)
        return 1
    goals = list(_goals(table))
    if options.json:
        rows = {name: {n: asdict(x) for n, x in row.items()} for name, row in table.items()}
        print(json.dumps({"scale": rows, "goals": [asdict(x) for x in goals]}, indent=2))
    else:
        _write_table(table, goals)
    return 0


def _measured(sizes: Sequence[int], rounds: int) -> Table:
    """Return the least that each has cost in some rounds of all sizes: noise only adds to it."""
    table: dict[str, dict[int, Cost]] = {}
    say(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors; warming the caches")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1 + rounds):
            for nics in sizes:
                path = Path(folder, f"scale{nics}.yaml")
                path.write_text(_plan(nics), encoding="utf-8")
                costs = {name: harness.cost(argv) for name, argv in _programs(path).items()}
                if not number:
                    continue
                for name, cost in costs.items():
                    row = table.setdefault(name, {})
                    row[nics] = min(cost, row.get(nics, cost), key=lambda x: x.cpu_s)
                told = ", ".join(f"{name} {cost.cpu_s:.2f} s" for name, cost in costs.items())
                say(f"round {number}, {nics} NICs: {told}")
    return table


def _programs(plan: Path) -> dict[str, list[str]]:
    vmnet = [sys.executable, "-m", "provisioner"]
    return {
        "load": [sys.executable, str(HERE), "--part", "load", str(plan)],
        "pairs": [sys.executable, str(HERE), "--part", "pairs", str(plan)],
        "explain": [*vmnet, "explain", "-f", str(plan), "g0x1", "g0x2"],
        "plan": [*vmnet, "plan", str(plan)],
        "render": [*vmnet, "render", "-f", str(plan), "g0x1"],
        "ssh-config": [*vmnet, "export", "ssh-config", "-f", str(plan)],
    }


def _plan(nics: int) -> str:
    """Return a plan: groups of VMs, each group on two switches."""
    networks, vms = [], []
    for group in range(nics // (2 * _GROUP)):
        names = [f"n{group}x{side}" for side in range(2)]
        for side, name in enumerate(names):
            third = 2 * group + side
            subnet = f"10.{100 + third // 256}.{third % 256}.0/24"
            networks.append(f"  {name}: {{switch: true, subnet: {subnet}}}")
        vms.append(f"  g{group}x: {{count: {_GROUP}, memory: 96M, nics: [{', '.join(names)}]}}")
    return (
        "\n".join(("name: scale", "overcommit: true", "networks:", *networks, "vms:", *vms)) + "\n"
    )


def _part(part: str, path: Path) -> int:
    from provisioner.network.addressing import assign
    from provisioner.network.facts import Facts
    from provisioner.plan.load.loader import load
    from provisioner.reachability.pairs import pairs

    plan = load(path.read_text(encoding="utf-8"), str(path)).plan
    nics = assign(plan)
    if part == "pairs":
        pairs(plan, nics, Facts())
    return 0


def _goals(table: Table) -> Iterator[Goal]:
    for nics, most_s in ((400, _CPU_S),):
        if nics in table["plan"]:
            yield Goal(f"plan, {nics} NICs, s", table["plan"][nics].cpu_s, most_s)
    largest = max(table["plan"])
    if largest == max(_SIZES):
        three = [table[name][largest] for name in ("load", "plan", "render")]
        yield Goal(
            f"load, plan, render, {largest} NICs, s", sum(x.cpu_s for x in three), _CPU_ALL_S
        )
    yield Goal("MiB", max(x.peak_mib for row in table.values() for x in row.values()), _PEAK_MIB)
    for name, row in table.items():
        if len(row) > 2:  # the smallest is the base
            yield Goal(f"exponent of {name}", _exponent(row), _EXPONENT)


def _exponent(row: Mapping[int, Cost]) -> float:
    """Return how costs grow with NICs, beyond what the smallest plan costs, over the upper half."""
    sizes = sorted(row)
    base = row[sizes[0]].cpu_s
    low, high = sizes[len(sizes) // 2], sizes[-1]
    least = 0.01
    grown = max(least, row[high].cpu_s - base) / max(least, row[low].cpu_s - base)
    return math.log(grown) / math.log((high - sizes[0]) / (low - sizes[0]))


def _write_table(table: Table, goals: Sequence[Goal]) -> None:
    sizes = sorted(next(iter(table.values())))
    print("seconds of processors (MiB)" + "".join(f"{n:>16}" for n in sizes))
    for name, row in table.items():
        cells = (f"{row[n].cpu_s:8.2f} ({row[n].peak_mib:4.0f})" for n in sizes)
        print(f"{name:27}" + "".join(f"{cell:>16}" for cell in cells))
    print("goals: " + "; ".join(map(str, goals)))


if __name__ == "__main__":
    raise SystemExit(main())
