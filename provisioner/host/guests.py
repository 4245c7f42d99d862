"""A guest, asked through its agent. Whatever it answers is hostile until it has been checked."""

import base64
import binascii
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address
from typing import Any

from provisioner.core.text import one_line
from provisioner.errors import VmnetError
from provisioner.host.domains import Domains

_CALL_S = 5  # one agent command; libvirt itself waits as long to synchronise with the agent
_FIRST_POLL_S, _POLL_S = 0.004, 0.02
_PING_S = 15.0  # a busy host stretches a second of an emulated guest
_CONFIGURE_S = 40.0
_MAX_OUTPUT = 1 << 20
_MAX_NICS = 64

# One ping per target side by side, with no process but ping itself: in an emulated guest a process
# costs 10 ms and more. Each writes its few lines at once, when it ends. Words are SIZE,ADDRESS; the
# kernel sets "don't fragment" on all that its own device can take whole.
_PING = """\
for word; do
    size=${word%%,*} a=${word#*,}
    case $a in
    *:*) ping -6 -c 1 -W 1 -s "$size" "$a" & ;;
    *) ping -4 -c 1 -W 1 -s "$size" "$a" & ;;
    esac
done
wait
"""
# busybox says "64 bytes from ADDRESS: seq=", iputils "64 bytes from NAME (ADDRESS): icmp_seq=".
_REPLY = re.compile(
    r"(\d{1,5}) bytes from (?:\S{1,255} \()?([0-9a-f.:]+?)\)?: .{0,80}"
    r"time=(\d{1,6}(?:\.\d{1,6})?) ms"
)
_ICMP = 8  # bytes of its header
_IP_HEADER = {4: 20, 6: 40}
_SMALL = 56  # bytes in a ping that says nothing else


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a program inside a guest."""

    status: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Pinged:
    """A ping that was answered: the round trip, the size of its IP packet in bytes, which try."""

    seconds: float
    size: int
    tries: int


class Guests:
    """One guest of the plan, by the name of its domain."""

    def __init__(self, domains: Domains, domain: str) -> None:
        self._domains = domains
        self._domain = domain

    def run(self, argv: Sequence[str], timeout_s: float, stdin: bytes = b"") -> Ran:
        """Run a program inside the guest and wait for its end.

        Raises VmnetError when the agent does not answer or the program is not done in time.
        """
        arguments: dict[str, object] = {
            "path": argv[0],
            "arg": list(argv[1:]),
            "capture-output": True,
        }
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        pid = self._ask("guest-exec", arguments).get("pid")
        end = time.monotonic() + timeout_s
        pause = threading.Event()
        wait_s = _FIRST_POLL_S
        while True:
            state = self._ask("guest-exec-status", {"pid": pid})
            if state.get("exited"):
                return _ran(state)
            if time.monotonic() > end:
                raise VmnetError(
                    f'"{argv[0]}" in {self._domain} was not done after {timeout_s:g} s',
                    fix="give it longer with --timeout, or look at the guest: vmnet console",
                )
            # The agent has no event for the end of a program. Most end at once.
            pause.wait(wait_s)
            wait_s = min(wait_s * 1.5, _POLL_S)

    def await_agent(self, timeout_s: float) -> None:
        """Wait until the agent can be asked: libvirt finds it again some time after it is opened.

        Raises VmnetError when it does not come.
        """
        end = time.monotonic() + timeout_s
        pause = threading.Event()
        while not self._domains.agent_connected(self._domain):
            if time.monotonic() > end:
                raise VmnetError(
                    f"the guest agent of {self._domain} has not answered after {timeout_s:g} s",
                    fix="run vmnet up again when the guest is up, or: vmnet up --recreate",
                )
            pause.wait(_POLL_S)

    def reconfigure(self, mac: str, config: Mapping[str, Any]) -> None:
        """Tell a running guest what network-config version 2, with an MTU, says of one card.

        Raises VmnetError when the agent does not answer or the guest cannot do it.
        """
        script = files("provisioner").joinpath("templates/guest-network.sh").read_text("utf-8")
        words = [mac, str(config["mtu"]), "1" if config["dhcp4"] else "0"]
        words += ["2" if config["accept-ra"] else "0", *config.get("addresses", ())]
        words += [f"via:{route['via']}" for route in config.get("routes", ())]
        ran = self.run(["/bin/sh", "-c", script, "network", *words], _CONFIGURE_S)
        if ran.status:
            said = one_line(ran.stderr.decode("utf-8", "replace").strip() or "nothing")
            raise VmnetError(
                f"{self._domain} could not configure its card {mac}: it says {said}",
                fix="look at the guest: vmnet console; or start it anew: vmnet up --recreate",
            )

    def ping(
        self, targets: Mapping[str, int], sizes: Mapping[str, int] | None = None
    ) -> dict[str, Pinged]:
        """Ping many addresses from inside, side by side; one that never answers is absent.

        `targets` says how often to try each, a second a time. `sizes` gives the bytes of the IP
        packets to be sent, 0 for small ones. Where a large one is not answered, a small one is sent
        with the next: the answer to the largest counts.
        """
        wanted = {a: max(0, (sizes or {}).get(a, 0)) for a in targets}
        best: dict[str, Pinged] = {}
        for done in range(max(targets.values(), default=0)):
            words = [
                f"{size},{a}"
                for a, tries in targets.items()
                if tries > done
                for size in _payloads(a, wanted[a], best.get(a), again=done > 0)
            ]
            if not words:
                break
            ran = self.run(["/bin/sh", "-c", _PING, "ping", *words], _PING_S)
            for length, address, milliseconds in _REPLY.findall(
                ran.stdout.decode("ascii", "replace")
            ):
                if address not in wanted:
                    continue
                found = Pinged(float(milliseconds) / 1000, int(length) + _header(address), done + 1)
                if address not in best or best[address].size < found.size:
                    best[address] = found
        return best

    def sizes_answered(self, address: str, sizes: Sequence[int]) -> set[int]:
        """Ping an address with IP packets of several sizes (bytes) at once; give those answered."""
        head = _header(address) + _ICMP
        words = [f"{size - head},{address}" for size in sizes if size >= head]
        ran = self.run(["/bin/sh", "-c", _PING, "ping", *words], _PING_S)
        found = _REPLY.findall(ran.stdout.decode("ascii", "replace"))
        return {int(n) + _header(address) for n, _, _ in found} & set(sizes)

    def addresses(self) -> dict[str, tuple[str, ...]]:
        """Give the addresses of each NIC, by MAC, without link-local ones."""
        answer = self._ask("guest-network-get-interfaces", {})
        found: dict[str, tuple[str, ...]] = {}
        for nic in answer[:_MAX_NICS] if isinstance(answer, list) else ():
            mac = str(nic.get("hardware-address", "")).lower()
            told = nic.get("ip-addresses") or []
            ips = tuple(ip for a in told[:_MAX_NICS] if (ip := _usable(a.get("ip-address"))))
            if re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", mac):
                found[mac] = ips
        return found

    def _ask(self, command: str, arguments: Mapping[str, object]) -> Any:
        text = json.dumps({"execute": command, "arguments": arguments})
        answer = self._domains.agent(self._domain, text, _CALL_S)
        try:
            return json.loads(answer)["return"]
        except (ValueError, KeyError, TypeError) as error:
            raise VmnetError(
                f"the guest agent of {self._domain} answered what is no answer to {command}",
                fix="restart the VM: something else speaks on its agent port",
            ) from error


def _header(address: str) -> int:
    return _IP_HEADER[ip_address(address).version]


def _payloads(address: str, packet: int, best: Pinged | None, *, again: bool) -> list[int]:
    """Say how many bytes the pings to an address should carry next, as far as any are needed."""
    large = packet - _header(address) - _ICMP
    if large <= _SMALL:
        return [] if best else [_SMALL]
    if best and best.size >= packet:
        return []
    return [large, _SMALL] if again and not best else [large]


def _ran(state: Mapping[str, Any]) -> Ran:
    status = state.get("exitcode", 128 + int(state.get("signal", 0)))
    return Ran(int(status), _output(state.get("out-data")), _output(state.get("err-data")))


def _output(data: object) -> bytes:
    try:
        return base64.b64decode(str(data or ""))[:_MAX_OUTPUT]
    except binascii.Error:
        return b""


def _usable(text: object) -> str | None:
    try:
        ip = ip_address(str(text))
    except ValueError:
        return None
    return None if ip.is_link_local or ip.is_loopback or ip.is_multicast else str(ip)
