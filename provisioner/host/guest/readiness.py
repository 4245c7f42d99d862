"""Looks inside a guest, through its agent, for a sign that it is ready."""

from typing import Final

from provisioner.check import readiness
from provisioner.check.readiness import Held, Kind, Sign
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.text import one_line

_LOOK_S: Final = 10.0
_MOST: Final = 64 << 10  # bytes of a file that are looked at
_RESULT: Final = f"""\
head -c {_MOST} /run/cloud-init/result.json 2> /dev/null || {{
    [ ! -e /run/cloud-init/disabled ] || echo {readiness.DISABLED}
}}
"""
_SOCKETS: Final = f"cat /proc/net/tcp /proc/net/tcp6 2> /dev/null | head -c {_MOST}"


def look(guest: Guests, sign: Sign, within_s: float) -> Held:
    """Tell whether a sign holds as seen from inside; a command has `within_s` seconds.

    An agent that does not answer is a reason like another: it may yet come.
    """
    try:
        return _look(guest, sign, within_s)
    except VmnetError as error:
        return Held(ok=False, why=error.what)


def _look(guest: Guests, sign: Sign, within_s: float) -> Held:
    match sign.kind:
        case Kind.CLOUD_INIT:
            return readiness.cloud_init(_said(guest, _RESULT))
        case Kind.SSH | Kind.TCP:
            there = readiness.listens(_said(guest, _SOCKETS), sign.port)
            return Held(there, "" if there else "nothing listens there in the guest")
        case Kind.COMMAND:
            ran = guest.run(["/bin/sh", "-c", sign.line], max(1.0, within_s))
            said = one_line((ran.stderr or ran.stdout).decode("utf-8", "replace").strip(), 100)
            return Held(ran.status == 0, f"exit status {ran.status}{said and f', {said}'}")
        case Kind.STARTED | Kind.AGENT | Kind.ADDRESS:
            return Held(ok=True)  # it has just answered


def _said(guest: Guests, script: str) -> str:
    return guest.run(["/bin/sh", "-c", script], _LOOK_S).stdout.decode("utf-8", "replace")
