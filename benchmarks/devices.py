"""What a macvtap costs vmnet, beside ip and bare netlink; benchmarks.md says how to read it.

Run it as root, with the Python that has vmnet's libraries: python benchmarks/devices.py
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))

from provisioner.host.netlink import link_codec, links, pyroute2_codec, rtnetlink  # noqa: E402
from provisioner.host.netlink.message import Message  # noqa: E402
from provisioner.host.network import standalone  # noqa: E402
from provisioner.network.resources import Macvtap  # noqa: E402
from provisioner.network.standalone import device  # noqa: E402
from provisioner.plan.choices import Mode  # noqa: E402

_SIZES = (1, 10, 100, 1000)
_MOST_ONE_BY_ONE = 100  # removing more of them by one process each takes half a minute
_MOST_REMOVAL_MS = 1000.0
_MOST_GROWTH = 2.0  # ms per device at 1,000 against 100
_INSIDE = "VMNET_BENCH_INSIDE"
_GROUP, _FIRST = 0x70000000, 0x20000000


@dataclass(frozen=True, slots=True)
class Timed:
    """One way and one number of devices: milliseconds for all of them, the median of the rounds."""

    way: str
    devices: int
    create_ms: float
    remove_ms: float | None  # None: not measured, it would take too long


@dataclass(frozen=True, slots=True)
class Way:
    """How devices are made and taken away."""

    name: str
    create: Callable[[Sequence[Macvtap]], None]
    remove: Callable[[Sequence[Macvtap]], None]
    slow: bool = False  # removal costs a grace period per device


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
    _ip("link add up0 type veth peer name up1", "link set up0 up", "link set up1 up")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        ways = _ways(Path(folder))
        for way in ways:  # imports and caches
            _timed(way, 1)
        timed = [_measured(way, size, options.rounds) for size in sizes for way in ways]
    if options.json:
        print(json.dumps({"load": load, "timed": [asdict(one) for one in timed]}, indent=2))
    else:
        _show(timed, sizes, load)


def _ways(folder: Path) -> tuple[Way, ...]:
    records = folder / "records"
    made: dict[str, int] = {}

    def create(wanted: Sequence[Macvtap]) -> None:
        made.update(standalone.create(wanted, _TAKEN, records))

    def remove(_: Sequence[Macvtap]) -> None:
        standalone.remove(dict(made), records)
        made.clear()

    return (
        Way("vmnet", create, remove),
        Way("ip, a process each", _by_processes, _away_by_processes, slow=True),
        Way("ip -batch", _by_batch, _away_by_batch, slow=True),
        Way("netlink (floor)", _by_netlink, _away_by_group),
    )


def _wanted(number: int) -> list[Macvtap]:
    wish = device.Wish("up0", Mode.BRIDGE, count=number)
    uplink = next(link for link in links.every() if link.name == "up0")
    return list(device.planned(wish, uplink, ()))


def _measured(way: Way, size: int, rounds: int) -> Timed:
    found = [_timed(way, size) for _ in range(rounds)]
    keep = not way.slow or size <= _MOST_ONE_BY_ONE
    removal = median(one[1] for one in found) if keep else None
    return Timed(way.name, size, median(one[0] for one in found), removal)


def _timed(way: Way, size: int) -> tuple[float, float]:
    wanted = _wanted(size)
    _PREPARED.clear()
    _PREPARED.extend(_encoded(wanted))
    _TAKEN[:] = [link.index for link in links.every()]
    start = time.perf_counter()
    way.create(wanted)
    middle = time.perf_counter()
    here = {link.name for link in links.every()}
    missing = [tap.name for tap in wanted if tap.name not in here]
    if missing:
        raise SystemExit(f"{way.name} has not made {missing[0]}")
    if way.slow and size > _MOST_ONE_BY_ONE:
        _away_by_group(wanted)
        return (middle - start) * 1000, 0.0
    again = time.perf_counter()
    way.remove(wanted)
    return (middle - start) * 1000, (time.perf_counter() - again) * 1000


_TAKEN: list[int] = []
"""The ifindexes that are in use: vmnet has looked at the host before it makes anything."""

_PREPARED: list[bytes] = []
"""The floor's calls, encoded before the clock starts."""


def _encoded(wanted: Sequence[Macvtap]) -> list[bytes]:
    """Return what the floor sends, 20 devices in a call."""
    each = [[pyroute2_codec.encode(x, 1) for x in messages] for messages in _creations(wanted)]
    calls = (each[at : at + 20] for at in range(0, len(each), 20))
    return [b"".join(b"".join(device) for device in call) for call in calls]


def _creations(wanted: Sequence[Macvtap]) -> list[list[Message]]:
    """Return what each device needs at least: made, marked, silent, and up."""
    uplink = links.existing_index("up0")
    flags = link_codec.IFF_UP | link_codec.IFF_NOARP | link_codec.IFF_ALLMULTI
    return [
        [
            link_codec.new(
                ("IFLA_IFNAME", tap.name),
                ("IFLA_LINK", uplink),
                ("IFLA_ADDRESS", tap.mac),
                ("IFLA_MTU", tap.mtu),
                ("IFLA_GROUP", _GROUP),
                link_codec.macvlan("macvtap", tap.mode),
                index=_FIRST + at,
                create=True,
            ),
            link_codec.silence(index=_FIRST + at),
            link_codec.new(("IFLA_IFALIAS", tap.alias), index=_FIRST + at, on=flags),
        ]
        for at, tap in enumerate(wanted)
    ]


def _by_netlink(_: Sequence[Macvtap]) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as rtnl:
        for call in _PREPARED:
            rtnl.send(call)


def _away_by_group(_: Sequence[Macvtap]) -> None:
    rtnetlink.transact([[link_codec.delete(("IFLA_GROUP", _GROUP))]])


def _lines(tap: Macvtap) -> tuple[str, ...]:
    """Give the iproute2 commands of a device that is like vmnet's."""
    kind = f"type macvtap mode {tap.mode}"
    made = (
        f"link add link up0 name {tap.name} address {tap.mac} mtu {tap.mtu} group {_GROUP} {kind}"
    )
    flags = "arp off allmulticast on alias"
    return (
        made,
        f"link set dev {tap.name} addrgenmode none",
        f"link set dev {tap.name} {flags} {tap.alias} up",
    )


def _by_processes(wanted: Sequence[Macvtap]) -> None:
    for tap in wanted:
        # One process for a device, the kindest case: a script by hand has three.
        subprocess.run(["ip", *_lines(tap)[0].split()], check=True)


def _away_by_processes(wanted: Sequence[Macvtap]) -> None:
    for tap in wanted:
        subprocess.run(["ip", "link", "del", "dev", tap.name], check=True)


def _by_batch(wanted: Sequence[Macvtap]) -> None:
    _ip(*(line for tap in wanted for line in _lines(tap)))


def _away_by_batch(wanted: Sequence[Macvtap]) -> None:
    _ip(*(f"link del dev {tap.name}" for tap in wanted))


def _ip(*lines: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


def _show(timed: Sequence[Timed], sizes: Sequence[int], load: float) -> None:
    by = {(one.way, one.devices): one for one in timed}
    print(f"load at the start: {load:.1f}; milliseconds per device, made / taken away\n")
    ways = list(dict.fromkeys(one.way for one in timed))
    print(f"{'devices':>8}  " + "  ".join(f"{way:>20}" for way in ways) + "  vmnet : floor")
    for size in sizes:
        cells = [_cell(by[way, size]) for way in ways]
        ratio = by["vmnet", size].create_ms / by["netlink (floor)", size].create_ms
        print(f"{size:>8}  " + "  ".join(f"{cell:>20}" for cell in cells) + f"  {ratio:>13.2f}")
    print()
    for words, measured, most in _goals(by, sizes):
        mark = "met" if measured <= most else "MISSED"
        print(f"{mark:>6}: {words}: {measured:.2f}, at most {most:g}")


def _cell(one: Timed) -> str:
    away = "-" if one.remove_ms is None else f"{one.remove_ms / one.devices:.3f}"
    return f"{one.create_ms / one.devices:.3f} / {away}"


def _goals(
    by: dict[tuple[str, int], Timed], sizes: Sequence[int]
) -> list[tuple[str, float, float]]:
    out = []
    for size in sizes:
        ours = by["vmnet", size].create_ms
        each = by["ip, a process each", size]
        out.append((f"creation of {size} against a process each", ours / each.create_ms, 1.0))
    most = by["vmnet", max(sizes)]
    if most.remove_ms is not None:
        out.append((f"ms for the removal of {most.devices}", most.remove_ms, _MOST_REMOVAL_MS))
    if {100, 1000} <= set(sizes):
        growth = by["vmnet", 1000].create_ms / by["vmnet", 100].create_ms / 10
        out.append(("ms per device at 1,000 against 100", growth, _MOST_GROWTH))
    return out


if __name__ == "__main__":
    main()
