"""Where the time of one `vmnet up` goes; docs/explanation/performance.md shows it.

Run it as root, with the Python that has vmnet's libraries: python benchmarks/timeline.py
Every call to the process that touches the machine is taken down, with the times of its beginning
and its end, and so is what the command says.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))  # an editable install has it, bare libraries do not

import harness  # noqa: E402
from harness import HOUSE, INSIDE, FailedError, say  # noqa: E402

_VMNET = (sys.executable, "-m", "provisioner")
_PLAN = """\
name: timeline
networks: {{lan: {{uplink: {nic}, mode: bridge, subnet: 10.90.0.0/24, gateway: {gateway}}}}}
vms: {{g: {{count: {count}, nics: [lan]}}}}
"""
_TRACED = """
import json, os, sys, time
begun = float(os.environ["BEGUN"])
import provisioner.host.system.worker as worker
calls = []
def told(what, since):
    calls.append((since - begun, time.time() - begun, what))
plain = worker.Worker.send
def send(self, function, args, kwargs, within_s):
    since = time.time()
    step = f" {args[0].title}" if function.__name__ == "perform" else ""
    call = plain(self, function, args, kwargs, within_s)
    call.add_done_callback(lambda _: told(function.__qualname__ + step, since))
    return call
worker.Worker.send = send
import provisioner.__main__
told("Python is started", begun)
try:
    provisioner.__main__.main()
finally:
    told("the whole command", begun)
    with open(os.environ["CALLS"], "w") as file:
        json.dump(calls, file)
"""
_MEANING = {
    "Machine.open": "libvirt is opened",
    "Machine.observe": "libvirt, devices, rules and files are looked at",
    "every": "the devices are listed",
    "claims": "the LAN is asked whether somebody has the addresses, or the guests who they are",
    "Machine.renew_mark": "the plan's folder is marked",
    "Machine.perform": "a step:",
    "plug": "the macvtaps are set up",
    "reflects": "the switch is asked whether it sends frames back",
    "dropped": "the counters of rules are read",
    "Machine.agent_seen": "libvirt is asked for a guest's agent",
    "Machine.guest": "a guest's agent works: addresses, pings",
    "look": "the wire is listened to for those who should not be there",
    "control": "silences are shown to be isolation: their controls",
    "found_on": "the neighbours of the host are read",
}


def main() -> int:
    """Measure, inside namespaces that are gone afterwards; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=int, default=1)
    parser.add_argument("--down", action="store_true", help="of `vmnet down` instead")
    options = parser.parse_args()
    try:
        if INSIDE not in os.environ:
            return harness.in_namespace(HERE, [[*_VMNET, "image", "build", "micro"]])
        say(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors")
        folder = Path(os.environ["VMNET_RUN_DIR"], "timeline")
        folder.mkdir()
        plan = folder / "plan.yaml"
        with harness.cabled_nic() as nic:
            gateway, count = harness.STATION, options.guests
            plan.write_text(_PLAN.format(nic=nic, gateway=gateway, count=count))
            traced = {}
            for _ in range(2):  # the first warms the caches
                for verb in ("up", "down"):
                    traced[verb] = _traced(verb, plan, folder / "calls.json")
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        print(f"benchmarks/timeline.py: {error}", file=sys.stderr)
        return 1
    _write(traced["down" if options.down else "up"])
    return 0


def _traced(verb: str, plan: Path, calls: Path) -> list[tuple[float, float, str]]:
    import time

    places = {"CALLS": str(calls), "BEGUN": str(time.time()), "PYTHONPATH": str(HOUSE)}
    ran = subprocess.run(
        [sys.executable, "-c", _TRACED, verb, str(plan)],
        env=os.environ | places,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise FailedError(f"vmnet {verb} ended with {ran.returncode}:\n{ran.stderr}{ran.stdout}")
    return [(since, until, what) for since, until, what in json.loads(calls.read_text())]


def _write(calls: list[tuple[float, float, str]]) -> None:
    print("| from | to | what |\n|---|---|---|")
    for since, until, what in sorted(calls):
        name, _, step = what.partition(" ")
        meaning = " ".join(filter(None, (_MEANING[name], step))) if name in _MEANING else what
        print(f"| {since:.2f} s | {until:.2f} s | {meaning} |")


if __name__ == "__main__":
    raise SystemExit(main())
