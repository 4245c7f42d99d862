"""Ping guests from another machine by ssh: what a neighbour on the LAN really sees.

What ssh may do is set by the configuration of its user: keys, host keys, jumps. It never asks for
a password, and nothing of a plan is parsed by a shell: the script comes by standard input, its
arguments are addresses. What the machine prints is hostile until it has been checked.
"""

from collections.abc import Mapping
from typing import Final

from provisioner.check.result import NO_LOGIN, Probed
from provisioner.errors import VmnetError
from provisioner.guest.ping_output import ICMP_HEADER, ip_header
from provisioner.host.system import programs
from provisioner.pattern import pattern
from provisioner.plan.hosts import Login
from provisioner.plan.ip import Address
from provisioner.template_files import template
from provisioner.text import one_line

_CONNECT_S: Final = 5
_GRACE_S: Final = 5.0
_TRY_S: Final = 1.5  # a ping that waits for a second, and its start
_AT_ONCE: Final = 32
_SMALL: Final = 56  # bytes in a ping by default
_NO_LOGIN: Final = 255  # ssh(1): ssh itself has failed
_WHY: Final = {97: "it has no ping", 98: "vmnet does not know the ping of its system"}

_LINE: Final = pattern(r"vmnet (\S{2,45}) (\d{1,3}) (\d{1,5}) (.{0,3000})")
_COUNTS: Final = pattern(r"\d{1,6} packets transmitted, (\d{1,6}) (?:packets )?received")
_NO_ROUTE: Final = pattern("Network is unreachable|No route to host")
_TIME: Final = pattern(r"time[=<](\d{1,6}(?:\.\d{1,6})?) ?ms")


def ping(
    login: Login, targets: Mapping[Address, int], sizes: Mapping[Address, int] | None = None
) -> dict[Address, Probed]:
    """Ping addresses from another machine, side by side; `targets` has how often to try each.

    `sizes` has the bytes of the IP packets that are sent, where they are not to be small; where
    these are not answered, a small one is sent, and `largest` says what has come through.
    All of it has one deadline. Raises VmnetError when the machine cannot be logged in to, or prints
    nothing in time; what it prints of each address is in the answer.
    """
    words = [f"{a}/{tries}/{_payload(a, (sizes or {}).get(a, 0))}" for a, tries in targets.items()]
    rounds = -(-len(words) // _AT_ONCE)
    deadline_s = _CONNECT_S + rounds * (max(targets.values(), default=0) + 1) * _TRY_S + _GRACE_S
    argv = [*command(login), "sh", "-s", "--", *words]
    try:
        ran = programs.run(argv, timeout_s=deadline_s, input=template("ssh-ping.sh"), check=False)
    except VmnetError as error:
        raise _no_login(login, error.what) from error
    if ran.returncode == _NO_LOGIN:
        raise _no_login(login, programs.last_lines(ran.stderr))
    found = answers(ran.stdout, targets)
    why = _WHY.get(ran.returncode) or one_line(programs.last_lines(ran.stderr), 120)
    silent = Probed(None, note=f"cannot be tested from {login}: {why}")
    return {address: found.get(address, silent) for address in targets}


def command(login: Login) -> list[str]:
    """Return the command by which ssh logs in: it asks, forwards and leaves nothing."""
    options = ["BatchMode=yes", f"ConnectTimeout={_CONNECT_S}", "ConnectionAttempts=1"]
    # A master of its own would outlive the check, and hold its output open.
    options += ["ControlMaster=no", "ClearAllForwardings=yes", "RemoteCommand=none"]
    words = [word for option in options for word in ("-o", option)]
    return ["ssh", "-T", "-x", "-a", *words, *login.argv]


def answers(output: str, targets: Mapping[Address, int]) -> dict[Address, Probed]:
    """Parse what the machine has printed, a line for each address; the first about each counts."""
    by_text = {str(address): address for address in targets}
    found: dict[Address, Probed] = {}
    for line in filter(None, map(_LINE.fullmatch, output.splitlines())):
        address = by_text.get(line[1])
        if address and address not in found:
            size = int(line[3]) + ip_header(address) + ICMP_HEADER
            found[address] = _answer(line[4], min(int(line[2]), targets[address]), size)
    return found


def _payload(address: Address, size: int) -> int:
    return max(_SMALL, size - ip_header(address) - ICMP_HEADER)


def _answer(printed: str, tries: int, size: int) -> Probed:
    counted = _COUNTS.search(printed)
    if not counted and _NO_ROUTE.search(printed):
        return Probed(reached=False, note="it has no route there", sent=tries)
    if not counted:
        return Probed(
            None, note=f"cannot be tested: its ping says {one_line(printed.strip(), 120)}"
        )
    took = _TIME.search(printed)
    if int(counted[1]) == 0:
        return Probed(reached=False, note="no answer to ping", sent=tries)
    seconds = float(took[1]) / 1000 if took else None
    note, sent = f"ping of {size} bytes", max(tries, 1)
    return Probed(reached=True, seconds=seconds, note=note, sent=sent, answered=1, largest=size)


def _no_login(login: Login, why: str) -> VmnetError:
    return VmnetError(
        f"{NO_LOGIN} {login} by ssh: {one_line(why, 160)}",
        fix=f"log in by hand as vmnet does: {' '.join(command(login))}",
    )
