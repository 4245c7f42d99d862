"""Check plans that are well again and again, amid what must not disturb a check.

    python -m tests.framework.false_alarms [--runs N] [CASE...]

prints how many checks of each case were green, how long the slowest took, and what the others said.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.framework.breakages import sentences, tell
from tests.framework.lab import Lab
from tests.framework.running import Running
from tests.framework.wire import CabledNic, cabled_nic

_NETWORK = """\
networks:
  lan: {uplink: <nic>, subnet: [10.95.0.0/24, "fd95::/64"], pool: <pool>,
        gateway: [10.95.0.254, "fd95::254"]}
vms:
"""
_BUSY = "while True: pass"
_STORM = """\
import socket, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("far", 0))
asks = bytes.fromhex("ffffffffffff 02000000aa01 0806 0001080006040001 02000000aa01 0a5f004d"
                     "000000000000 0a5f004e") + bytes(18)
while True:
    for _ in range(5):
        wire.send(asks)
    time.sleep(0.005)
"""


def _guests(bridge: int, private: int) -> str:
    modes = ["bridge"] * bridge + ["private"] * private
    return "".join(
        f"  g{n}: {{memory: 96M, nics: [{{network: lan, mode: {mode}}}]}}\n"
        for n, mode in enumerate(modes)
    )


_ONE_POOL = "10.95.0.10-10.95.0.99"
_FULL_MESH = (_NETWORK + _guests(9, 3), _ONE_POOL)
_PAIRS = _NETWORK + _guests(2, 2)
_FIVE = f"{_NETWORK}  many: {{memory: 96M, nics: [{', '.join(['lan'] * 5)}]}}\n{_guests(1, 0)}"


@contextmanager
def _nothing(_: CabledNic) -> Iterator[None]:
    yield


@contextmanager
def _loaded(wire: CabledNic) -> Iterator[None]:
    """Keep the processors busy with four loops."""
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(_meanwhile(wire, [sys.executable, "-c", _BUSY]))
        yield


@contextmanager
def _storm(wire: CabledNic) -> Iterator[None]:
    """Let a thousand broadcasts a second come from the LAN."""
    lan = ["ip", "netns", "exec", wire.lan, sys.executable, "-c", _STORM]
    with _meanwhile(wire, lan):
        yield


@contextmanager
def _meanwhile(wire: CabledNic, argv: list[str]) -> Iterator[None]:
    running = Running(argv, wire.lab.directory, dict(os.environ))
    try:
        yield
        assert running.process.poll() is None, running.stderr
    finally:
        running.process.kill()
        running.process.wait()


CASES = {
    "idle": ((_FULL_MESH,), _nothing),
    "loaded": ((_FULL_MESH,), _loaded),
    "five NICs": (((_FIVE, _ONE_POOL),), _nothing),
    "two plans": (((_PAIRS, _ONE_POOL), (_PAIRS, "10.95.0.100-10.95.0.199")), _nothing),
    "storm": (((_PAIRS, _ONE_POOL),), _storm),
    "hairpin": (((_PAIRS, _ONE_POOL),), _nothing),  # which the switch has at every other check
}
"""By name: the plans that are up on one NIC, each with its pool, and what goes on meanwhile."""


def alarms(folder: Path, name: str, runs: int) -> int:
    """Run one case, print what came of it, and return how many checks were not green."""
    plans, disturbed = CASES[name]
    said: Counter[str] = Counter()
    red, slowest = 0, 0.0
    with Lab(folder).opened() as lab, cabled_nic(lab, "10.95.0.254/24", "fd95::254/64") as wire:
        paths = [
            lab.plan(text.replace("<nic>", wire.name).replace("<pool>", pool), f"n{n}")
            for n, (text, pool) in enumerate(plans)
        ]
        for path in paths:
            lab.vmnet("up", path, within_s=300)
        with disturbed(wire):
            for number in range(runs):
                wire.reflects(name == "hairpin" and not number % 2)
                turn = [lab.start("check", path, "--json") for path in paths]
                for running in turn:
                    ran = running.finished(None, 300)
                    red += ran.status != 0
                    slowest = max(slowest, ran.report["seconds"])
                    said.update(sentences(ran.report) if ran.status else ())
        for path in paths:
            lab.vmnet("down", path)
    checks = runs * len(plans)
    tell(f"{name}: {checks - red} of {checks} green, the slowest in {slowest:.1f} s")
    for sentence, count in said.items():
        tell(f"  {count} x {sentence}")
    return red


def main() -> int:
    """Run the cases that are asked for; return 1 when a check was not green."""
    asked = argparse.ArgumentParser(prog="tests.framework.false_alarms", description=__doc__)
    asked.add_argument("--runs", type=int, default=20)
    asked.add_argument("cases", nargs="*", choices=[*CASES, []], default=list(CASES))
    words = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="false-alarms") as folder:
        red = [alarms(Path(folder), name, words.runs) for name in words.cases]
    return int(any(red))


if __name__ == "__main__":
    raise SystemExit(main())
