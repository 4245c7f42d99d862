"""Commands of a guest's agent. Its answers are hostile until they have been checked."""

import base64
import binascii
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any, Final

from provisioner.check.loss import PingCount
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.guest import agent_info
from provisioner.guest.agent_info import AgentNic
from provisioner.host.guest.agent import CALL_S, WRITTEN, Agent
from provisioner.host.guest.pinging import Pinged, Pinging
from provisioner.plan.ip import Address
from provisioner.template_files import template
from provisioner.text import one_line

# How often an agent is asked whether a program has ended. Each time costs some 5 ms of an emulated
# guest's CPU, so whoever has waited for long is asked less often; and an agent that has taken long
# to start the program, since its host is busy, too.
_FIRST_POLL_S, _LAST_POLL_S, _POLL_SHARE = 0.004, 0.1, 0.25
_MOST_PAUSE_S = 0.3
_LARGE_S = 30  # of an answer that may be large
_NO_STATUS = 255  # of a program whose agent did not report it
_PINGS_S = 60.0  # a host that boots others stretches seconds of an emulated guest; it is not dead
_LEAST_PINGS_S = 5.0
_CONFIGURE_S = 40.0
_CLOCK_S = 10.0
_MAX_OUTPUT = 1 << 22
_MAX_NICS = 64

_FROM_FILE = 'exec < "$1" && rm -f -- "$1" && shift && exec "$@"'
MOST_IN: Final = 16 << 20
"""Bytes of standard input that go to a guest's program; more than a piece goes by a file of its."""
MOST_OUT: Final = 2 << 20
MOST_ERRORS: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a program inside a guest."""

    status: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False  # there was more than could be kept


class Guests(Agent):
    """One guest of the plan, by the name of its domain."""

    def run(
        self,
        argv: Sequence[str],
        timeout_s: float,
        stdin: bytes = b"",
        call_s: int = CALL_S,
    ) -> Ran:
        """Run a program inside the guest and wait for its end; `call_s` is for one agent command.

        Raises VmnetError when the agent does not answer or the program is not done in time.
        """
        arguments: dict[str, object] = {
            "path": argv[0],
            "arg": list(argv[1:]),
            "capture-output": True,
        }
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        asked = time.monotonic()
        started = self.ask("guest-exec", arguments, call_s)
        pid = started.get("pid") if isinstance(started, dict) else None
        began = time.monotonic()
        least_s = min(max(_FIRST_POLL_S, began - asked), _MOST_PAUSE_S)
        pause = threading.Event()
        while True:
            state = self.ask("guest-exec-status", {"pid": pid}, call_s)
            if not isinstance(state, dict):
                raise self._invalid("guest-exec-status")
            if state.get("exited"):
                return _ran(state)
            waited_s = time.monotonic() - began
            if waited_s > timeout_s:
                raise VmnetError(
                    f'"{argv[0]}" in {self._domain} was not done after {timeout_s:g} s',
                    fix="it goes on in there: give it longer (--timeout), or look: vmnet console",
                )
            # The agent has no event for the end of a program. Most end at once.
            pause.wait(max(least_s, min(waited_s * _POLL_SHARE, _LAST_POLL_S)))

    def run_bounded(self, argv: Sequence[str], timeout_s: float, stdin: bytes = b"") -> Ran:
        """Run a program whose output may be of any size; what is above the limits is cut off.

        Raises VmnetError as `run` does, and when there is more than MOST_IN bytes of input.
        """
        if len(stdin) > MOST_IN:
            raise bad_input(
                f"standard input has more than the {MOST_IN >> 20} MiB that an agent takes",
                "copy it with vmnet cp first, or use vmnet ssh",
            )
        limits = [str(MOST_OUT + 1), str(MOST_ERRORS + 1)]
        words = ["/bin/sh", "-c", template("guest-run.sh"), "exec", *limits, *argv]
        if len(stdin) > WRITTEN:
            words = ["/bin/sh", "-c", _FROM_FILE, "exec", self._put_aside(stdin), *words]
            stdin = b""
        ran = self.run(words, timeout_s, stdin, _LARGE_S)
        cut = len(ran.stdout) > MOST_OUT or len(ran.stderr) > MOST_ERRORS
        return Ran(
            ran.status, ran.stdout[:MOST_OUT], ran.stderr[:MOST_ERRORS], ran.truncated or cut
        )

    def run_script(self, name: str, timeout_s: float, *words: str) -> Ran:
        """Run a shell script of `templates/` inside the guest, as `run` does a program."""
        return self.run(["/bin/sh", "-c", template(name), name, *words], timeout_s)

    def _put_aside(self, data: bytes) -> str:
        """Write a file that nobody else has into the guest, and return its path."""
        made = self.run(["/bin/sh", "-c", "umask 077; mktemp"], _LARGE_S)
        path = made.stdout.decode("utf-8", "replace").strip()
        handle = self.file_open(path, "w")
        self.file_write(handle, data)
        self.file_close(handle)
        return path

    def reconfigure(self, mac: str, config: Mapping[str, Any]) -> None:
        """Configure one NIC of a running guest as network-config version 2, with an MTU, has it.

        Raises VmnetError when the agent does not answer or the guest cannot do it.
        """
        words = [mac, str(config["mtu"]), "1" if config["dhcp4"] else "0"]
        words += ["2" if config["accept-ra"] else "0", *config.get("addresses", ())]
        words += [f"via:{route['via']}" for route in config.get("routes", ())]
        self._configure(mac, words)

    def set_mtu(self, mac: str, mtu: int) -> None:
        """Set the MTU of one NIC of a running guest; all else of it stays as it is.

        Raises VmnetError as `reconfigure` does.
        """
        self._configure(mac, [mac, str(mtu)])

    def _configure(self, mac: str, words: Sequence[str]) -> None:
        ran = self.run_script("guest-network.sh", _CONFIGURE_S, *words)
        if ran.status:
            why = one_line(ran.stderr.decode("utf-8", "replace").strip() or "no reason given")
            raise VmnetError(
                f"{self._domain} could not configure its NIC {mac}: {why}",
                fix="look at the guest: vmnet console; or start it anew: vmnet up --recreate",
            )

    def set_clock(self) -> float:
        """Give the guest the time of this host; return by how many seconds it is still wrong.

        The agent does nothing where it has no /sbin/hwclock for the hardware's clock (qga 7.2): a
        program of the guest's does it then. What the clock says afterwards is what counts. Raises
        VmnetError when it does not say so.
        """
        try:
            self.ask("guest-set-time", {"time": time.time_ns()})
        except VmnetError:
            with suppress(VmnetError):
                self.run(["date", "-u", "-s", f"@{round(time.time())}"], _CLOCK_S)
        told = self.ask("guest-get-time", {})
        if not isinstance(told, int) or isinstance(told, bool):
            raise self._invalid("guest-get-time")
        return (told - time.time_ns()) / 1e9

    def ping(
        self,
        targets: Mapping[Address, int],
        sizes: Mapping[Address, int] | None = None,
        sources: Mapping[Address, Address] | None = None,
        counts: Mapping[Address, PingCount] | None = None,
        *,
        by_order: bool = False,
    ) -> dict[Address, Pinged]:
        """Ping many addresses from inside, side by side; one that never answers is absent.

        `targets` has how often to try each, a second a time. `sizes` has the bytes of the IP
        packets to be sent, 0 for small ones. Where a large one is not answered, a small one is sent
        with the next: the answer to the largest counts. `sources` has the guest's own address that
        each is pinged from, where the guest is not to choose: a source that it does not have gets
        no answer. Those in `counts` are sent more than one at first; where one of these is not
        answered, the losses are counted. With `by_order` the others are waited for until a moment
        after these have answered: the caller has to see late answers itself. All of it has a minute
        beside its waits: an agent that answers shows a guest that works on it.
        """
        end = time.monotonic() + _PINGS_S
        return Pinging(
            send=partial(self._pings, end),
            targets=targets,
            sizes=sizes or {},
            sources=sources or {},
            counts=counts or {},
            by_order=by_order,
        ).done()

    def sizes_answered(self, address: Address, sizes: Sequence[int]) -> set[int]:
        """Ping an address with IP packets of several sizes in bytes; return those answered."""
        send = partial(self._pings, time.monotonic() + _PINGS_S)
        return Pinging(send=send, targets={address: 1}).sized(address, sizes)

    def _pings(self, end: float, words: list[str], takes_s: float) -> bytes:
        left_s = max(_LEAST_PINGS_S, end - time.monotonic())
        return self.run_script("guest-probe.sh", left_s + takes_s, "pings", *words).stdout

    def all_addresses(self) -> frozenset[Address]:
        """Return all addresses that the guest has, whatever device they are on.

        Link-local ones and those of the loopback's own networks are left out.
        """
        answer = self.ask("guest-network-get-interfaces", {})
        return frozenset(map(ip_address, agent_info.addresses(answer, _MAX_NICS)))

    def addresses(self) -> dict[str, tuple[Address, ...]]:
        """Return the addresses of each NIC, by MAC, without link-local ones.

        A VLAN on a NIC has its MAC, and is another network.
        """
        return {nic.mac: tuple(map(ip_address, nic.addresses)) for nic in self.nics()}

    def nics(self) -> tuple[AgentNic, ...]:
        """Return the NICs, without VLANs on them, and without link-local addresses."""
        answer = self.ask("guest-network-get-interfaces", {})
        return tuple(nic for nic in agent_info.nics(answer, _MAX_NICS) if "." not in nic.name)


def _ran(state: Mapping[str, Any]) -> Ran:
    try:
        status = int(state["exitcode"]) if "exitcode" in state else 128 + int(state["signal"])
    except (KeyError, TypeError, ValueError):
        status = _NO_STATUS
    cut = state.get("out-truncated") is True or state.get("err-truncated") is True
    output, errors = _output(state.get("out-data")), _output(state.get("err-data"))
    return Ran(status & 0xFF, output, errors, cut)


def _output(data: object) -> bytes:
    try:
        return base64.b64decode(str(data or ""))[:_MAX_OUTPUT]
    except binascii.Error:
        return b""
