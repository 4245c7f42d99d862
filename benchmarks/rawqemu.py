"""The floor: QEMU started directly, as libvirt starts it, on macvtaps made by one `ip -batch`.

Everything here happens in the network namespace of the process, which must be the benchmark's own.
"""

import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path

import arpwatch
from harness import FailedError

HOST = "10.90.0.1/24"
_UPLINK, _FAR = "uplink", "far"
_DEADLINE_S = 120.0
_HIGH = 0x40000000  # above what the kernel gives by itself: /dev/tapN is there once per host


@dataclass(frozen=True, slots=True)
class Guest:
    """One guest as vmnet started it: its name, its address, and QEMU's own command line."""

    name: str
    address: IPv4Address
    argv: tuple[str, ...]

    @property
    def mac(self) -> str:
        """The MAC of its one network card."""
        found = [
            fields["mac"]
            for option, value in options(self.argv)
            if option == "-device" and "mac" in (fields := _fields(value))
        ]
        if len(found) != 1:
            raise FailedError(f"{self.name} has {len(found)} network cards, not one")
        return found[0]


@dataclass(frozen=True, slots=True)
class Backend:
    """What a guest's network card is on: QEMU's words for it, and the files that they name."""

    words: str  # "tap,fd=7"
    files: tuple[int, ...] = ()

    @property
    def queues(self) -> int:
        """How many queues the card has: one for each file."""
        return max(1, len(self.files))


def raw_argv(argv: Sequence[str], backend: Backend, agent: int, console: Path) -> list[str]:
    """Translate libvirt's command line into one that needs no libvirt: the same machine.

    Its network card is on `backend`, its agent's channel on the listening Unix socket `agent`, and
    its serial line ends in the file `console`.
    """
    raw = [argv[0]]
    for option, value in options(argv):
        match option:
            case "-S" | "-mon" | "-add-fd":  # the pause, the monitor, and handed-over descriptors
                continue
            case "-object" if _fields(value)["kind"] == "secret":
                continue
            case "-netdev":
                fields = _fields(value)
                vhost = ",vhost=on" if fields.get("vhost") in {"on", "True"} else ""
                raw += [option, f"{backend.words},id={fields['id']}{vhost}"]
            case "-device" if backend.queues > 1 and '"virtio-net-pci"' in value:
                many = {"mq": True, "vectors": 2 * backend.queues + 2}
                raw += [option, json.dumps(json.loads(value) | many)]
            case "-chardev":
                raw += _chardev(_fields(value)["id"], agent, console)
            case _:
                raw += [option, value] if value else [option]
    return raw


def _chardev(name: str, agent: int, console: Path) -> list[str]:
    if name.startswith("charmonitor"):
        return []
    if name.startswith("charserial"):
        return ["-chardev", f"file,id={name},path={console}"]
    if name.startswith("charchannel"):
        return ["-chardev", f"socket,id={name},fd={agent},server=on,wait=off"]
    raise FailedError(f"libvirt's QEMU has a character device that nobody knows here: {name}")


def options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return each option of QEMU's with its value; "" for one without."""
    words = [*argv[1:], "-"]
    for word, after in pairwise(words):
        if word.startswith("-"):
            yield word, "" if after.startswith("-") else after


def _fields(value: str) -> dict[str, str]:
    """Read an option's value, in either of the two ways in which libvirt writes it."""
    if value.startswith("{"):
        fields = {key: str(field) for key, field in json.loads(value).items()}
        return {"kind": fields.get("qom-type") or fields.get("driver", ""), **fields}
    kind, *rest = value.split(",")
    return {"kind": kind} | {k: v for k, _, v in (part.partition("=") for part in rest)}


def round_s(guests: Sequence[Guest], folder: Path) -> float:
    """Give the seconds from nothing until every guest has answered ARP; leave nothing behind."""
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["ip", "link", "del", _UPLINK], check=True)
        begun = time.monotonic()
        qemus = started(guests, _UPLINK, folder, stack, _uplink())
        seconds = _all_answer(guests, begun)
        if seconds is None:
            raise FailedError(_why(guests, qemus, folder))
    return seconds


def started(
    guests: Sequence[Guest], uplink: str, folder: Path, stack: ExitStack, before: Iterable[str] = ()
) -> list[subprocess.Popen[bytes]]:
    """Start the guests on macvtaps of an uplink, which `before`, lines for `ip -batch`, may make.

    `stack` takes QEMUs and macvtaps away again.
    """
    first = random.randrange(_HIGH, 2 * _HIGH - len(guests))  # noqa: S311  (a number that is free)
    batch = "\n".join((*before, *_devices(guests, uplink, first))).encode()
    removal = "\n".join(f"link del tap{number}" for number in range(len(guests))).encode()
    stack.callback(subprocess.run, ["ip", "-batch", "-"], input=removal, check=True)
    subprocess.run(["ip", "-batch", "-"], input=batch, check=True)
    return [
        _start(guest, number, first + number, folder, stack) for number, guest in enumerate(guests)
    ]


def _uplink() -> Iterator[str]:
    yield f"link add {_UPLINK} type veth peer name {_FAR}"
    for end in (_UPLINK, _FAR):
        yield f"link set dev {end} addrgenmode none"
        yield f"link set dev {end} up"
    yield f"address add {HOST} dev {_FAR}"


def _devices(guests: Sequence[Guest], uplink: str, first: int) -> Iterator[str]:
    for number, guest in enumerate(guests):
        name = f"tap{number}"
        yield (
            f"link add link {uplink} name {name} index {first + number} address {guest.mac} "
            "type macvtap mode bridge"
        )
        yield f"link set dev {name} addrgenmode none"
        yield f"link set dev {name} allmulticast on arp off up"


def _start(
    guest: Guest, number: int, index: int, folder: Path, stack: ExitStack
) -> subprocess.Popen[bytes]:
    tap = opened(f"tap{number}", index, folder, stack)
    return launched(guest, Backend(f"tap,fd={tap}", (tap,)), folder, stack)[0]


def opened(name: str, index: int, folder: Path, stack: ExitStack) -> int:
    """Open the node of a macvtap with that ifindex, until `stack` ends; return the descriptor."""
    from provisioner.host.network import tap_node

    if tap_node.state_of(name, index) == "missing":  # a container without a devtmpfs of its own
        tap_node.make_node(name, index, folder)
        stack.callback(tap_node.remove_node, index, folder)
    tap = os.open(tap_node.path_of(index), os.O_RDWR)
    stack.callback(os.close, tap)
    return tap


def launched(
    guest: Guest, backend: Backend, folder: Path, stack: ExitStack
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a guest's QEMU until `stack` ends; return it, and the socket of the guest's agent."""
    agent, connected = _agent(folder / f"{guest.name}.agent", stack)
    said = stack.enter_context((folder / f"{guest.name}.qemu").open("wb"))
    process = subprocess.Popen(
        raw_argv(guest.argv, backend, agent, folder / f"{guest.name}.console"),
        pass_fds=[*backend.files, agent],
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process, connected


def _agent(path: Path, stack: ExitStack) -> tuple[int, socket.socket]:
    """Listen for QEMU, and be connected from the start as libvirt is: the guest sees the same."""
    listening = stack.enter_context(socket.socket(socket.AF_UNIX))
    connected = stack.enter_context(socket.socket(socket.AF_UNIX))
    path.unlink(missing_ok=True)
    listening.bind(str(path))
    listening.listen(1)
    connected.connect(str(path))
    return listening.fileno(), connected


def _all_answer(guests: Sequence[Guest], begun: float) -> float | None:
    """Return the seconds from `begun` until the last guest answered, None when one never does."""
    silent: dict[IPv4Address | IPv6Address, str] = {guest.address: guest.mac for guest in guests}
    found = list(arpwatch.answers(_FAR, silent, begun + _DEADLINE_S - time.monotonic()))
    return time.monotonic() - begun if len(found) == len(guests) else None


def _why(guests: Sequence[Guest], started: Sequence[subprocess.Popen[bytes]], folder: Path) -> str:
    states = [
        f"{guest.name}: QEMU {'runs' if process.poll() is None else 'has ended'}: "
        + (folder / f"{guest.name}.qemu").read_text(errors="replace").strip()
        for guest, process in zip(guests, started, strict=True)
    ]
    return "\n".join(["a raw guest did not answer ARP", *states])
