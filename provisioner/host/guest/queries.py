"""What a guest answers through its agent: about itself, its NICs, and whether it is ready.

Each question has a time limit, and each answer is hostile until it has been checked. A NIC is known
by its MAC. One with a MAC that nobody planned stands for the planned NIC that is missing, when
there are as many of the one as of the other.
"""

import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_interface
from typing import Final

from provisioner.check import readiness, stack
from provisioner.check.evidence import Inside
from provisioner.check.readiness import Sign, SignKind, SignState
from provisioner.check.stack import StackReading
from provisioner.errors import VmnetError
from provisioner.guest import agent_info
from provisioner.guest.agent_info import AgentNic, GuestInfo
from provisioner.host.guest.commands import Guests
from provisioner.pattern import pattern
from provisioner.text import one_line

_EACH_S: Final = 2
_QUESTIONS: Final = (
    "guest-get-host-name",
    "guest-get-osinfo",
    "guest-network-get-interfaces",
    "guest-get-fsinfo",
    "guest-get-users",
)
_ASK_S: Final = 10.0
_MOST_NICS: Final = 64
_UP: Final = 1  # IFF_UP
_NO_ARP: Final = 0x80  # IFF_NOARP
_NIC: Final = pattern(r"(\d{1,9}) ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) (0x[0-9a-f]{1,8})")
_LOOK_S: Final = 10.0
_MOST_BYTES: Final = 64 << 10  # bytes of a file that are looked at
_RESULT: Final = f"""\
head -c {_MOST_BYTES} /run/cloud-init/result.json 2> /dev/null || {{
    [ ! -e /run/cloud-init/disabled ] || echo {readiness.DISABLED}
}}
"""
_SOCKETS: Final = f"cat /proc/net/tcp /proc/net/tcp6 2> /dev/null | head -c {_MOST_BYTES}"


def info(guest: Guests) -> GuestInfo:
    """Ask for everything; whoever does not answer one question in time is not asked the next."""
    answers: dict[str, object] = {}
    problem, loadavg = "", ""
    for question in _QUESTIONS:
        began = time.monotonic()
        try:
            answers[question] = guest.ask(question, {}, _EACH_S)
        except VmnetError as error:
            problem = problem or error.what
            if time.monotonic() - began >= _EACH_S:
                return agent_info.read(answers, problem=problem)
    try:
        ran = guest.run(["/bin/cat", "/proc/loadavg"], _EACH_S, call_s=_EACH_S)
        loadavg = ran.stdout.decode("ascii", "replace")
    except VmnetError as error:
        problem = problem or error.what
    return agent_info.read(answers, loadavg, problem)


def nics(guest: Guests, planned: Sequence[str]) -> dict[str, Inside]:
    """Return what the guest has for each planned MAC, in the order of its NICs.

    Raises VmnetError when the agent does not answer.
    """
    listed = guest.run_script("guest-probe.sh", _ASK_S, "nics").stdout.decode("ascii", "replace")
    return matched(listed, planned, {nic.mac: nic for nic in guest.nics()})


def matched(
    listed: str, planned: Sequence[str], reported: Mapping[str, AgentNic]
) -> dict[str, Inside]:
    """Match the NICs that a guest has listed, one a line, with the planned MACs."""
    lines = (match for line in listed.splitlines()[:_MOST_NICS] if (match := _NIC.fullmatch(line)))
    there = {
        mac: int(flags, 16) for _, mac, flags in sorted((int(x[1]), x[2], x[3]) for x in lines)
    }
    missing = [mac for mac in planned if mac not in there]
    strange = [mac for mac in there if mac not in planned]
    instead = dict(zip(missing, strange, strict=True)) if len(missing) == len(strange) else {}
    found = {}
    for mac in planned:
        used = instead.get(mac, mac)
        if used in there:
            flags = there[used]
            nic = reported.get(used, AgentNic("", used, ()))
            found[mac] = Inside(
                used,
                bool(flags & _UP),
                tuple(map(ip_address, nic.addresses)),
                tuple(map(ip_interface, nic.interfaces)),
                arp=not flags & _NO_ARP,
            )
        else:
            found[mac] = Inside("", up=False, addresses=(), found=False)
    return found


def counters(guest: Guests, mac: str, peer: str) -> StackReading:
    """Read what the guest's kernel counts, and how it would send to the address `peer`.

    Raises VmnetError when the agent does not answer.
    """
    ran = guest.run_script("guest-probe.sh", _ASK_S, "stack", mac, peer)
    return stack.read(ran.stdout.decode("utf-8", "replace"))


def look(guest: Guests, sign: Sign, within_s: float) -> SignState:
    """Return whether a sign holds as seen from inside; a command has `within_s` seconds.

    An agent that does not answer is a reason like another: it may yet come.
    """
    try:
        return _look(guest, sign, within_s)
    except VmnetError as error:
        return SignState(ok=False, why=error.what)


def _look(guest: Guests, sign: Sign, within_s: float) -> SignState:
    match sign.kind:
        case SignKind.CLOUD_INIT:
            return readiness.cloud_init(_output(guest, _RESULT))
        case SignKind.SSH | SignKind.TCP:
            there = readiness.listens(_output(guest, _SOCKETS), sign.port)
            return SignState(there, "" if there else "nothing listens there in the guest")
        case SignKind.COMMAND:
            ran = guest.run(["/bin/sh", "-c", sign.line], max(1.0, within_s))
            text = one_line((ran.stderr or ran.stdout).decode("utf-8", "replace").strip(), 100)
            return SignState(ran.status == 0, f"exit status {ran.status}{text and f', {text}'}")
        case SignKind.STARTED | SignKind.AGENT | SignKind.ADDRESS:
            return SignState(ok=True)  # it has just answered


def _output(guest: Guests, script: str) -> str:
    return guest.run(["/bin/sh", "-c", script], _LOOK_S).stdout.decode("utf-8", "replace")
