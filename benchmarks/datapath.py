"""What real guests move over macvtaps in each mode, beside a tap on a bridge and user networking.

Run it as root, with the Python that has vmnet's libraries: python benchmarks/datapath.py
docs/explanation/performance.md has its table, and its picture by --svg FILE.
"""

import argparse
import base64
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))  # an editable install has it, bare libraries do not

import harness  # noqa: E402
import rawqemu  # noqa: E402
import vmnetruns  # noqa: E402
from barchart import svg  # noqa: E402
from harness import INSIDE, LAN, NIC, STATION, FailedError, say  # noqa: E402
from rawqemu import Backend, Guest  # noqa: E402

_VMNET = (sys.executable, "-m", "provisioner")
_PORT = 5001
_PLAN = """\
name: datapath
networks: {lan: {switch: true, mode: bridge, subnet: 10.90.0.0/24}}
vms: {g: {count: 2, cpus: 2, nics: [lan]}}
defaults: {ssh_keys: none}
"""
_READY_S = 120.0
_MOST_FILES = 8
_HIGH = 0x50000000  # ifindexes above what the kernel gives by itself


@dataclass(frozen=True, slots=True)
class Way:
    """A way for a guest's frames: a macvtap's mode, "tap" on a bridge, or "user"."""

    name: str
    kind: str
    queues: int = 1
    vhost: bool = False
    siblings: bool = False  # two guests reach each other


@dataclass(frozen=True, slots=True)
class Rates:
    """Mbit/s out of a guest, into it, from one guest to another (0: they do not meet); ms."""

    out: float
    into: float
    sibling: float
    ping_ms: float


WAYS = (
    Way("tap on a bridge", "tap", siblings=True),
    Way("user networking", "user"),
    Way("macvtap, bridge", "bridge", siblings=True),
    Way("macvtap, bridge, 2 queues", "bridge", queues=2, siblings=True),
    Way("macvtap, private", "private"),
    Way("macvtap, vepa, a switch that reflects", "vepa", siblings=True),
    Way("macvtap, passthru", "passthru"),
    Way("macvtap, source", "source"),
)
_BASELINE = WAYS[0].name


def main() -> int:
    """Measure, inside namespaces that are gone afterwards; return the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each, taking turns")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each stream")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--svg", type=Path, help="draw the streams there")
    options = parser.parse_args()
    try:
        if INSIDE not in os.environ:
            return harness.in_namespace(HERE, [[*_VMNET, "image", "build", "micro"]])
        rates = _measured(options.rounds, options.seconds)
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        print(f"benchmarks/datapath.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps({name: asdict(each) for name, each in rates.items()}, indent=2))
    else:
        _write_table(rates)
    if options.svg:
        bars = {name: {"out of a guest": x.out, "into it": x.into} for name, x in rates.items()}
        options.svg.write_text(svg("Mbit/s of one TCP stream", bars), encoding="utf-8")
    return 0


def _measured(rounds: int, seconds: float) -> dict[str, Rates]:
    say(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors")
    folder = Path(os.environ["VMNET_RUN_DIR"], "raw")
    folder.mkdir()
    plan = folder / "datapath.yaml"
    plan.write_text(_PLAN)
    guests = vmnetruns.up_and_down(_VMNET, plan).guests
    ways = list(WAYS)
    if Path("/dev/vhost-net").exists():
        ways.append(Way("macvtap, bridge, vhost", "bridge", vhost=True, siblings=True))
    else:
        say("no /dev/vhost-net here: without a row of its own")
    took: dict[str, list[Rates]] = {way.name: [] for way in ways}
    for number in range(1, rounds + 1):
        for way in ways:
            with _started(way, guests, folder) as agents:
                took[way.name].append(rates := _rates(way, agents, guests, seconds))
            say(
                f"round {number}: {way.name}: out {rates.out:.0f}, into {rates.into:.0f}, to a "
                f"sibling {rates.sibling:.0f} Mbit/s, ping {rates.ping_ms:.2f} ms"
            )
    return {name: _medians(every) for name, every in took.items()}


def _medians(every: Sequence[Rates]) -> Rates:
    return Rates(
        median(x.out for x in every),
        median(x.into for x in every),
        median(x.sibling for x in every),
        median(x.ping_ms for x in every),
    )


# --- the ways ------------------------------------------------------------------------------------


@contextmanager
def _started(way: Way, guests: Sequence[Guest], folder: Path) -> Iterator[list["GuestAgent"]]:
    """Run the guests that way until the end of the block; wait until their agents answer."""
    with ExitStack() as stack:
        stack.enter_context(harness.cabled_nic(reflects=way.kind == "vepa"))
        if way.kind == "tap":
            _ip("link add br0 type bridge forward_delay 0\nlink set br0 up")
            _ip(f"link set {NIC} master br0")
            stack.callback(_ip, "link del br0")
        agents = []
        for number, guest in enumerate(guests if way.siblings else guests[:1]):
            backend = _backend(way, guest, number, folder, stack)
            process, connected = rawqemu.launched(guest, backend, folder, stack)
            agents.append(GuestAgent(guest.name, process, connected))
        for agent in agents:
            agent.wait()
        yield agents


def _ip(batch: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)


def _backend(way: Way, guest: Guest, number: int, folder: Path, stack: ExitStack) -> Backend:
    if way.kind == "user":
        return Backend(f"user,net=10.90.0.0/24,host={STATION}")
    name = f"tap{number}"
    if way.kind == "tap":
        files = [_tun(name, stack)]
        _ip(f"link set {name} master br0 up")
    else:
        index = _HIGH + os.getpid() * _MOST_FILES + number
        _ip(
            f"link add link {NIC} name {name} index {index} address {guest.mac} "
            f"numrxqueues {way.queues} numtxqueues {way.queues} type macvtap mode {way.kind}\n"
            f"link set dev {name} addrgenmode none\n"
            f"link set dev {name} allmulticast on arp off up"
        )
        stack.callback(_ip, f"link del {name}")
        if way.kind == "source":
            station = json.loads(_lan("ip", "-j", "link", "show", "sw"))[0]["address"]
            _ip(f"link set {name} type macvtap macaddr add {station}")
        files = [rawqemu.opened(name, index, folder, stack) for _ in range(way.queues)]
    listed = ":".join(map(str, files))
    words = f"tap,fds={listed}" if len(files) > 1 else f"tap,fd={listed}"
    return Backend(words + (",vhost=on" if way.vhost else ""), tuple(files))


def _tun(name: str, stack: ExitStack) -> int:
    """Make a tap with the flags that QEMU wants (linux/if_tun.h); return its descriptor."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    stack.callback(os.close, tun)
    tap, no_packet_information, vnet_header = 0x0002, 0x1000, 0x4000
    flags = tap | no_packet_information | vnet_header
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", name.encode(), flags))  # TUNSETIFF
    return tun


# --- what is measured ----------------------------------------------------------------------------


class GuestAgent:
    """The agent of a raw guest, by the socket that it is connected to."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], connected: socket.socket
    ) -> None:
        self._name, self._process, self._socket = name, process, connected
        self._lines = connected.makefile("rb")

    def wait(self) -> None:
        """Wait until it answers. Raises FailedError when it does not within two minutes."""
        self._socket.settimeout(_READY_S)
        try:
            self._ask("guest-ping")  # it lies in a buffer until somebody reads it
        except OSError as error:
            ended = self._process.poll()
            raise FailedError(f"{self._name} is not up: {error}; QEMU {ended}") from error

    def begin(self, command: str) -> int:
        """Start a command of the shell; return its pid."""
        words = {"path": "/bin/sh", "arg": ["-c", command], "capture-output": True}
        return int(self._ask("guest-exec", words)["pid"])

    def finished(self, pid: int) -> str:
        """Return what a command has said, at its end."""
        while not (told := self._ask("guest-exec-status", {"pid": pid}))["exited"]:
            time.sleep(0.1)  # noqa: TID251  (it has no events)
        return base64.b64decode(told.get("out-data", "")).decode(errors="replace")

    def run(self, command: str) -> str:
        """Run a command of the shell to its end; return what it said."""
        return self.finished(self.begin(command))

    def listen(self, program: str) -> int:
        """Start a program that listens on the port of streams; return its pid when it does."""
        pid = self.begin(program)
        self.run(f"until netstat -ltn | grep -q :{_PORT}; do sleep 0.1; done")
        return pid

    def _ask(self, command: str, arguments: object = None) -> dict[str, Any]:
        question = {"execute": command} | ({"arguments": arguments} if arguments else {})
        self._socket.sendall(json.dumps(question).encode() + b"\n")
        answer = json.loads(self._lines.readline() or b"{}")
        if "return" not in answer:
            raise FailedError(f"{self._name}: {command}: {answer}")
        return dict(answer["return"])


def _rates(
    way: Way, agents: Sequence[GuestAgent], guests: Sequence[Guest], seconds: float
) -> Rates:
    first = agents[0]
    pinged = first.run(f"ping -c 2 {STATION} >&2; ping -c 20 -i 0.1 {STATION}")
    times = [float(x) for x in re.findall(r"time=([\d.]+)", pinged)]
    if not times:
        raise FailedError(f"{way.name}: no answer to ping:\n{pinged}")
    return Rates(
        _out(way, first, seconds),
        _into(way, first, guests[0], seconds),
        _sibling(first, agents[1], guests[1], seconds) if way.siblings else 0.0,
        median(times),
    )


def _out(way: Way, agent: GuestAgent, seconds: float) -> float:
    with _station(way, "in", str(_PORT), str(seconds)) as peer:
        assert peer.stdout  # noqa: S101
        if peer.stdout.readline() != "ready\n":
            raise FailedError("the station does not listen")
        agent.begin(f"dd if=/dev/zero bs=64k | nc {STATION} {_PORT}")
        return float(peer.stdout.readline())


def _into(way: Way, agent: GuestAgent, guest: Guest, seconds: float) -> float:
    if way.kind == "user":  # nobody reaches such a guest
        return 0.0
    agent.listen(f"nc -l -p {_PORT} > /dev/null")
    with _station(way, "out", str(guest.address), str(_PORT), str(seconds)) as peer:
        assert peer.stdout  # noqa: S101
        return float(peer.stdout.readline() or "nan")


def _sibling(sender: GuestAgent, taker: GuestAgent, to: Guest, seconds: float) -> float:
    """Stream between guests, whole seconds of it: both clocks are a guest's."""
    whole = max(2, round(seconds))
    # A pipe that never ends: at the end of its input nc would end the stream. So nc does not end.
    pipe = "rm -f /tmp/p; mkfifo /tmp/p; exec 3<>/tmp/p"
    counting = taker.listen(f"{pipe}; timeout {whole + 4} nc -l -p {_PORT} <&3 | wc -c")
    sender.run(f"timeout {whole} sh -c 'dd if=/dev/zero bs=64k | nc {to.address} {_PORT}'")
    return int(taker.finished(counting)) * 8 / whole / 1e6


@contextmanager
def _station(way: Way, *words: str) -> Iterator[subprocess.Popen[str]]:
    where = [] if way.kind == "user" else ["ip", "netns", "exec", LAN]
    argv = [*where, sys.executable, str(HERE.with_name("stream.py")), *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as peer:
        try:
            yield peer
        finally:
            peer.kill()


def _lan(*argv: str) -> str:
    ran = subprocess.run(
        ["ip", "netns", "exec", LAN, *argv], check=True, capture_output=True, text=True
    )
    return ran.stdout


def _write_table(rates: dict[str, Rates]) -> None:
    base = rates[_BASELINE]
    print("| way | out of a guest | into it | to a sibling | ping | out, of the first row |")
    print("|---|---|---|---|---|---|")
    for name, x in rates.items():
        into, sibling = (f"{rate:.0f}" if rate else "-" for rate in (x.into, x.sibling))
        print(
            f"| {name} | {x.out:.0f} Mbit/s | {into} | {sibling} | {x.ping_ms:.2f} ms "
            f"| {x.out / base.out:.2f} |"
        )


if __name__ == "__main__":
    raise SystemExit(main())
