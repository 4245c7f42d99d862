"""What a full mesh costs vmnet, beside a ping or arping process for each pair.

benchmarks.md says how to read it. Run it as root, with the Python that has vmnet's libraries:
python benchmarks/check.py
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))

from provisioner.host.netlink import links  # noqa: E402
from provisioner.host.probe import mesh  # noqa: E402
from provisioner.host.probe.control import Injected, control  # noqa: E402
from provisioner.host.probe.mesh import Ask  # noqa: E402
from provisioner.host.probe.question_log import QuestionLog  # noqa: E402
from tests.host_tools.tap_peer import TapEnd, playing  # noqa: E402

_SIZES = (1, 10, 50)
_SILENT = 5
_DEADLINE_S = 1.0
_AT_ONCE = 32
_LEAST_RATIO = 10.0  # at the largest size
_MOST_DEADLINES = 2.0
_MOST_FOR_CONTROLS = 2.0  # times what the same mesh takes without them
_UPLINK = "up0"
_INSIDE = "VMNET_BENCH_INSIDE"


@dataclass(frozen=True, slots=True)
class Timed:
    """One way and one number of ends: milliseconds for all pairs, the median of the rounds."""

    way: str
    ends: int
    pairs: int
    ms: float
    answered: int


def main() -> None:
    """Measure every way at every size, in a network namespace of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default=",".join(map(str, _SIZES)))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if _INSIDE not in os.environ:
        # As `ip netns exec` has it: /sys shows the devices of the namespace.
        words = ["sh", "-c", 'mount -t sysfs sysfs /sys && exec "$@"', "sh"]
        argv = ["unshare", "-nm", *words, sys.executable, str(HERE), *sys.argv[1:]]
        raise SystemExit(subprocess.call(argv, env=os.environ | {_INSIDE: "1"}))
    sizes = [int(word) for word in options.sizes.split(",")]
    load = os.getloadavg()[0]
    timed = [one for size in sizes for one in _measured(size, options.rounds)]
    silent = _with_silent(max(sizes), options.rounds)
    if options.json:
        told = {"load": load, "timed": [asdict(x) for x in timed], "silent_ms": silent}
        print(json.dumps(told, indent=2))
    else:
        _show(timed, sizes, silent, load)


def _end(number: int, *, silent: bool = False) -> TapEnd:
    mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
    return TapEnd(f"mt{number}", mac, IPv4Address("10.9.0.0") + number, silent)


def _measured(size: int, rounds: int) -> list[Timed]:
    """Time one more end, that only asks, and `size` ends that ask and answer."""
    ends = [_end(n) for n in range(1, size + 2)]
    targets = ends[1:]
    pairs = [(a, b) for a in ends for b in targets if a is not b]
    ways: dict[str, Callable[[Sequence[tuple[TapEnd, TapEnd]]], int]] = {
        "vmnet": _by_vmnet,
        "vmnet, with controls": _with_controls,
        "ping, a process each": lambda some: _by_processes(some, _ping),
        "arping, a process each": lambda some: _by_processes(some, _arping),
    }
    found = []
    with _made(ends):
        for name, way in ways.items():
            way(pairs[:1])  # caches
            runs = [_timed(way, pairs) for _ in range(rounds)]
            answered = min(count for _, count in runs)
            found.append(Timed(name, size, len(pairs), median(ms for ms, _ in runs), answered))
    return found


def _with_silent(size: int, rounds: int) -> float:
    """Time the largest mesh once more, with some ends that answer nothing."""
    ends = [_end(n, silent=n <= _SILENT) for n in range(1, size + 2)]
    pairs = [(a, b) for a in ends for b in ends if a is not b]
    with _made(ends):
        return median(_timed(_by_vmnet, pairs)[0] for _ in range(rounds))


class _made:  # noqa: N801  (a context manager, read as a verb)
    """Macvtaps on a veth pair with their ends played, and a sibling for the processes."""

    def __init__(self, ends: Sequence[TapEnd]) -> None:
        self._ends = ends

    def __enter__(self) -> None:
        _ip("link add up0 type veth peer name up1", "link set up0 up", "link set up1 up")
        _ip("link add sib link up0 type macvlan mode bridge", "link set sib up")
        _ip("addr add 10.9.255.254/16 dev sib")
        for end in self._ends:
            _ip(
                f"link add {end.link} link up0 address {end.mac} type macvtap mode bridge",
                f"link set {end.link} addrgenmode none",
                f"link set {end.link} arp off allmulticast on up",
            )
        self._playing = playing(self._ends, {x.name: x.index for x in links.every()})
        self._playing.__enter__()

    def __exit__(self, *_: object) -> None:
        self._playing.__exit__(None, None, None)
        _ip("link del up0")


def _timed(
    way: Callable[[Sequence[tuple[TapEnd, TapEnd]]], int], pairs: Sequence[tuple[TapEnd, TapEnd]]
) -> tuple[float, int]:
    start = time.perf_counter()
    answered = way(pairs)
    return (time.perf_counter() - start) * 1000, answered


def _by_vmnet(pairs: Sequence[tuple[TapEnd, TapEnd]]) -> int:
    asks = [Ask(a.link, a.mac, b.address, b.mac, b.link) for a, b in pairs]
    return len(mesh.answered(asks, _DEADLINE_S).seen)


def _with_controls(pairs: Sequence[tuple[TapEnd, TapEnd]]) -> int:
    """Ask the same while questions are logged, then put a control in for each end."""
    ends = dict.fromkeys(end for pair in pairs for end in pair)
    with QuestionLog([*(end.link for end in ends), _UPLINK], of_others=False) as log:
        _by_vmnet(pairs)
        log.stop()
        left = sum(log.asked(a.link, a.mac, b.address) for a, b in pairs)
    strangers = (IPv4Address("10.9.254.0") + n for n in count(1))
    pings = [
        Injected(end.address, end.mac, "", stranger, (end.link,))
        for end, stranger in zip(ends, strangers, strict=False)
    ]
    answered = control(_UPLINK, pings, None, _DEADLINE_S).answered
    return left if len(answered) == len(ends) else 0


def _by_processes(
    pairs: Sequence[tuple[TapEnd, TapEnd]], argv: Callable[[TapEnd], list[str]]
) -> int:
    """Run a process for each pair; from a sibling, since none can ask in a guest's place."""
    with ThreadPoolExecutor(_AT_ONCE) as side_by_side:
        return sum(side_by_side.map(lambda pair: _answers(argv(pair[1])), pairs))


def _answers(argv: Sequence[str]) -> bool:
    return subprocess.run(argv, stdout=subprocess.DEVNULL, check=False).returncode == 0


def _ping(target: TapEnd) -> list[str]:
    return ["ping", "-n", "-q", "-c", "1", "-W", "1", str(target.address)]


def _arping(target: TapEnd) -> list[str]:
    return ["arping", "-q", "-c", "1", "-w", "1", "-I", "sib", str(target.address)]


def _ip(*lines: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


def _show(timed: Sequence[Timed], sizes: Sequence[int], silent_ms: float, load: float) -> None:
    print(f"a full mesh, medians in ms for all pairs; load {load:.1f}")
    for size in sizes:
        rows = [x for x in timed if x.ends == size]
        print(f"{size} ends, {rows[0].pairs} pairs")
        for x in rows:
            ratio = x.ms / rows[0].ms
            print(f"  {x.way:24} {x.ms:10.1f} ms  {ratio:6.1f}x  {x.answered} answered")
    largest = [x for x in timed if x.ends == max(sizes)]
    controlled = next(x for x in largest if x.way.endswith("controls"))
    ratio = controlled.ms / largest[0].ms
    told = "met" if ratio <= _MOST_FOR_CONTROLS else "MISSED"
    print(f"with a control for each of them it takes {ratio:.2f} times as long")
    print(f"  goal: at most {_MOST_FOR_CONTROLS:g} times: {told}")
    ratio = min(x.ms for x in largest if "process" in x.way) / largest[0].ms
    told = "met" if ratio >= _LEAST_RATIO else "MISSED"
    print(f"at {max(sizes)} ends the faster of the two takes {ratio:.1f} times as long")
    print(f"  goal: at least {_LEAST_RATIO:g} times: {told}")
    deadlines = silent_ms / 1000 / _DEADLINE_S
    told = "met" if deadlines <= _MOST_DEADLINES else "MISSED"
    print(f"with {_SILENT} silent ends: {silent_ms:.0f} ms, {deadlines:.2f} of one deadline")
    print(f"  goal: at most {_MOST_DEADLINES:g} deadlines: {told}")


if __name__ == "__main__":
    main()
