"""Measures what the controller adds to the work of hosts, and how that grows with their number.

    sudo .venv/bin/python benchmarks/fleet.py [--rounds 3] [--stubs 10,100,1000]

Three simulated hosts behind their own sshds run vmnet host-facts: the overhead is what the whole
takes beyond the slowest host. Then stubs behind the real controller, Ansible's local connection and
a vmnet that prints the facts of a host at once; and where a plan of four VMs a host is placed.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from provisioner.fabric.document import as_json, from_json
from provisioner.fabric.place import place
from provisioner.fabric.remote.answers import HostAnswer, Request
from provisioner.fabric.remote.roll_call import WORDS
from provisioner.host.fabric.remote import run_everywhere, run_on
from provisioner.plan.hosts import Login
from tests.builders import fabric as builders
from tests.framework.fabric.hosts import Fabric

GOAL_S = 2.5
HOSTS = ("h1", "h2", "h3")
VMS_A_HOST = 4
MOST_PLACED = 250  # hosts; more take minutes


def overhead_of_three() -> dict[str, float]:
    """Ask three hosts; return the whole and the slowest of them, in seconds."""
    began = time.monotonic()
    said = run_on({host: Request(WORDS, login=Login(host, "root")) for host in HOSTS})
    whole = time.monotonic() - began
    answers = [one for one in said.values() if isinstance(one, HostAnswer)]
    if len(answers) != len(HOSTS):
        raise SystemExit(f"not all have answered: {said}")
    return {"whole": whole, "slowest": max(one.seconds for one in answers)}


def stubs(number: int, room: Path) -> dict[str, float]:
    """Ask so many stubs, then place VMs on them; return seconds, and MiB of the largest process."""
    stub = room / "vmnet"
    facts = as_json(builders.host())
    stub.write_text(f"#!/bin/sh\ncat <<'END'\n{facts}\nEND\n")
    stub.chmod(0o755)
    names = [f"s{one:04}" for one in range(number)]
    inventory = room / "inventory.ini"
    about = f"ansible_connection=local vmnet_executable={stub}"
    inventory.write_text("".join(f"{name} {about}\n" for name in names))
    began = time.monotonic()
    said = run_everywhere(Request(WORDS), inventory, within_s=3600)
    asked = time.monotonic() - began
    fleet = {x: from_json(y.stdout, x) for x, y in said.items() if isinstance(y, HostAnswer)}
    if len(fleet) != number:
        raise SystemExit(f"{number - len(fleet)} of {number} stubs have not answered")
    vms = "".join(f"v{one}: {{nics: [lan]}}, " for one in range(VMS_A_HOST * number))
    plan = builders.placed(vms, hosts=" ".join(names)) if number <= MOST_PLACED else None
    began = time.monotonic()
    decision = place(plan, fleet, {}) if plan else None
    placed = time.monotonic() - began if decision else float("nan")
    largest = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {"asked": asked, "placed": placed, "mib": largest / 1024}


def alone(*words: str, enter: tuple[str, ...] = ()) -> Any:  # noqa: ANN401  (JSON)
    """Run one measurement in a process of its own."""
    here = Path(__file__).resolve()
    argv = [*enter, "env", f"--chdir={here.parent.parent}", sys.executable, str(here), *words]
    ran = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=7200)
    return json.loads(ran.stdout)


def main() -> None:
    """Measure, and print what has come out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stubs", default="10,100,1000")
    parser.add_argument("--three", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.three:
        print(json.dumps(overhead_of_three()))
        return
    with tempfile.TemporaryDirectory() as room:
        if words.number:
            print(json.dumps(stubs(words.number, Path(room))))
            return
        load = os.getloadavg()[0]
        print(f"{os.cpu_count()} cores, load {load:.1f} before")
        with Fabric(Path(room, "fabric"), *HOSTS).opened() as fabric:
            rounds = [alone("--three", enter=fabric.control.enter) for _ in range(words.rounds)]
        over = statistics.median(one["whole"] - one["slowest"] for one in rounds)
        slowest = statistics.median(one["slowest"] for one in rounds)
        met = "met" if over <= GOAL_S else "missed"
        print(f"3 hosts: slowest {slowest:.2f} s, over it {over:.2f} s (goal {GOAL_S} s: {met})")
    for number in map(int, filter(None, words.stubs.split(","))):
        found = alone("--number", str(number))
        each = found["asked"] / number * 1000
        print(
            f"{number} stubs: asked in {found['asked']:.1f} s, {each:.0f} ms each; "
            f"{VMS_A_HOST * number} VMs placed in {found['placed']:.2f} s; "
            f"largest process {found['mib']:.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
