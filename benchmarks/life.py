"""What the verbs of a guest's life cost beside a boot; benchmarks.md says how to read it.

Run it as root, with the Python that has vmnet's libraries: python benchmarks/life.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
HOUSE = HERE.parent.parent
_INSIDE = "VMNET_BENCH_INSIDE"
_TIMEOUT_S = 300
_PLAN = """\
name: life
networks: {lan: {switch: true, subnet: 10.90.0.0/24}}
vms:
  g: {count: 3, nics: [lan], disks: [64M]}
"""


class Vmnet:
    """vmnet on one plan; each command is timed, and must succeed."""

    def __init__(self, plan: Path) -> None:
        self._plan = plan
        self.took: dict[str, list[float]] = {}

    def run(self, *words: str) -> None:
        """Run a command, and keep how long it took by its name."""
        began = time.monotonic()
        self.quietly(*words)
        name = " ".join(words[: 2 if words[0] == "snapshot" else 1])
        self.took.setdefault(name, []).append(time.monotonic() - began)

    def quietly(self, *words: str) -> None:
        """Run a command that is not of interest."""
        argv = [sys.executable, "-m", "provisioner", *words, "-f", str(self._plan)]
        ran = subprocess.run(
            argv,
            cwd=HOUSE,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
        if ran.returncode:
            raise SystemExit(f"{' '.join(words)}: {ran.returncode}\n{ran.stdout}{ran.stderr}")


Round = Callable[[Vmnet], None]


def life(vmnet: Vmnet) -> None:
    """One round: the boot that all else is compared with, then each command once."""
    vmnet.run("up")
    vmnet.run("stop")
    vmnet.run("start")
    vmnet.run("restart")
    vmnet.run("pause")
    vmnet.run("resume")
    vmnet.run("down", "--disks", "--yes")


def snapshots(vmnet: Vmnet) -> None:
    """One round more: guests saved while they run, and put back after all of them have gone."""
    vmnet.quietly("up")
    try:
        vmnet.run("snapshot", "save", "bench")
        vmnet.quietly("down", "--disks", "--yes", "--now")
        vmnet.run("snapshot", "restore", "bench", "--yes")
        vmnet.quietly("down", "--disks", "--yes", "--now")
    finally:
        vmnet.run("snapshot", "rm", "bench", "--yes")


ROUNDS: tuple[Round, ...] = (life, snapshots)


def main() -> int:
    """Measure, in a network namespace that is gone afterwards; return the exit status."""
    options = _options()
    if os.geteuid():
        print("benchmarks/life.py makes network devices: run it as root", file=sys.stderr)
        return 1
    if _INSIDE not in os.environ:
        return _in_namespace(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder, "life.yaml")
        plan.write_text(_PLAN, encoding="utf-8")
        vmnet = Vmnet(plan)
        try:
            for _ in range(options.rounds):
                for each in ROUNDS:
                    each(vmnet)
        finally:
            vmnet.quietly("down", "--disks", "--yes", "--now")
    _tell(vmnet.took, as_json=options.json)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _in_namespace(words: Sequence[str]) -> int:
    name = f"vmnet-bench-{os.getpid()}"
    argv = ["ip", "netns", "exec", name, sys.executable, str(HERE), *words]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        return subprocess.run(argv, env=os.environ | {_INSIDE: "1"}, check=False).returncode
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def _tell(took: dict[str, list[float]], *, as_json: bool) -> None:
    boot = median(took["up"])
    if as_json:
        print(json.dumps({"seconds": took, "boot_s": boot}))
        return
    for name, seconds in took.items():
        print(
            f"{name:16} {min(seconds):6.2f} to {max(seconds):6.2f} s, median "
            f"{median(seconds):6.2f} s: {median(seconds) / boot:.2f} boots"
        )


if __name__ == "__main__":
    raise SystemExit(main())
