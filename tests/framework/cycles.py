"""Bring a plan of three guests up and down again and again, and look for what each run leaves.

    python -m tests.framework.cycles [--runs N]

One guest has a disk that is kept, with a counter that its guest adds one to in each run, without a
sync: so the shutdown has to write it. After each run links, files, processes, with them domains
and open files, addresses, rules and nodes must be as before, but for that disk.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.framework.breakages import tell
from tests.framework.lab import Lab, Snapshot, call
from tests.framework.plan import brought_up

PLAN = """\
networks: {lan: {switch: {nat: true, dhcp: true}, subnet: 10.77.0.0/24}}
vms:
  a: {nics: [lan]}
  b: {nics: [lan]}
  c: {nics: [lan], disks: [{size: 8M, keep: true}]}
defaults: {ssh_keys: auto}
checks: [a -> c, b -> c]
"""
# A disk stays, and with it the keys by which its guest is logged in to and known.
KEPT = [".c.1.qcow2.own", ".vmnet", "authorized_keys", "c.1.qcow2", "key", "key.pub"]
KEPT += ["known_hosts", "ssh_key"]
_COUNT = (
    "n=$(head -n 1 /dev/vda | tr -cd 0-9); echo $((${n:-0} + 1)) > /dev/vda; head -n 1 /dev/vda"
)


def cycles(lab: Lab, runs: int) -> list[float]:
    """Bring the plan up and down `runs` times; return the seconds of each.

    AssertionError when something is left, or the counter is not what it should be.
    """
    before = bare(lab)
    took = []
    for run in range(1, runs + 1):
        began = time.monotonic()
        plan = brought_up(lab, PLAN)
        assert plan.inside("c", _COUNT) == f"{run}\n"
        lab.vmnet("down", plan.path)
        took.append(time.monotonic() - began)
        assert bare(lab) == before, f"left by run {run}"
        left = sorted(x.name for x in plan.home.rglob("*") if x.is_file())
        assert left == KEPT, f"run {run}: {left}"
    path = lab.plan(PLAN)
    assert counted(Path("/var/lib/vmnet", path.stem, "disk/c.1.qcow2")) == runs
    lab.vmnet("down", path, "--disks", "--yes")
    return took


def counted(disk: Path) -> int:
    """Return what stands on the disk, whose guest is down."""
    with tempfile.NamedTemporaryFile() as raw:
        call("qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(disk), raw.name)
        return int(raw.readline())


def bare(lab: Lab) -> Snapshot:
    """Return all that is in the lab, without the folder of the disk that is kept."""
    seen = lab.snapshot()
    return replace(seen, files=tuple(x for x in seen.files if "var/lib" not in x))


def main() -> int:
    """Run as the command line says; print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    runs = parser.parse_args().runs
    if os.geteuid():
        tell("it makes network devices: run it as root")
        return 1
    with tempfile.TemporaryDirectory() as name, Lab(Path(name)).opened() as lab:
        took = cycles(lab, runs)
    tell(
        f"{runs} runs: nothing left, the counter at {runs}; a run takes "
        f"{min(took):.1f} to {max(took):.1f} s, median {median(took):.1f} s"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
