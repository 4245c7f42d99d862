"""What finding the ways into the guests of a large plan costs, beside rendering that plan.

docs/explanation/benchmarks.md says how to read it. No guest is started and no right is needed:
python benchmarks/waysin.py
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

_PLAN = """\
name: ways
networks:
  lan: {{uplink: eth9, mode: bridge, subnet: 10.90.0.0/16}}
vms:
  g: {{count: {count}, nics: [lan]}}
"""
"""The host's own NIC, without host access: the host reaches no guest."""
_COMMANDS = {
    "render g1": (0,),
    "export ssh-config": (0,),
    "ssh g1": (4,),  # no way leads there, and the ways that are left are told
    "explain g1 g2": (0,),
}
_MOST_S = 1.0


def main() -> None:
    """Time every command, in turns, so that a busy minute falls on all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vms", type=int, default=100)
    parser.add_argument("--vmnet", default=str(Path(sys.executable).with_name("vmnet")))
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        plan = Path(folder, "ways.yaml")
        plan.write_text(_PLAN.format(count=options.vms), encoding="utf-8")
        took: dict[str, list[float]] = {command: [] for command in _COMMANDS}
        for turn in range(1 + options.rounds):
            for command in _COMMANDS:
                seconds = _timed(options.vmnet, command, plan)
                took[command] += [seconds] if turn else []  # the first one warms the caches
    print(f"a plan of {options.vms} VMs that the host does not reach, medians; load {load:.1f}")
    baseline = median(took["render g1"])
    for command, times in took.items():
        print(f"  vmnet {command:20} {median(times):6.2f} s  {median(times) / baseline:5.2f}x")
    most = median(took["export ssh-config"])
    print(f"  goal: ssh-config below {_MOST_S:g} s: {'met' if most < _MOST_S else 'MISSED'}")


def _timed(vmnet: str, command: str, plan: Path) -> float:
    begun = time.monotonic()
    words = [*command.split(), "--file", str(plan)]
    ended = subprocess.run([vmnet, *words], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    if ended.returncode not in _COMMANDS[command]:
        raise SystemExit(f"vmnet {command} ended with {ended.returncode}:\n{ended.stderr}")
    return seconds


if __name__ == "__main__":
    main()
