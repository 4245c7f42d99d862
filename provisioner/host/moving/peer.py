"""The other host of a move: vmnet there, reached by ssh, and the sockets that ssh leads to it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from provisioner.errors import Exit, VmnetError
from provisioner.host.moving.arrival import DISKS, LIBVIRT, MEMORY, make_folder, remove_folder
from provisioner.host.system import programs
from provisioner.host.system.spawned.line_dialog import LineDialog
from provisioner.json_document import strict
from provisioner.plan.hosts import Login
from provisioner.text import one_line

_CONNECT_S: Final = 10
_END_S: Final = 10.0  # that ssh may take to end when the other host has said all
_MOST: Final = 16 << 20
_OPTIONS: Final = (
    "BatchMode=yes",
    f"ConnectTimeout={_CONNECT_S}",
    "ControlMaster=no",  # what it forwards would outlive the move
    "ControlPath=none",
    "ExitOnForwardFailure=yes",
    "StreamLocalBindUnlink=yes",
    "ServerAliveInterval=5",
    "RemoteCommand=none",
    "Ciphers=^aes128-gcm@openssh.com",
)


class Peer:
    """vmnet on the other host: lines of JSON to its standard input, and from its output."""

    def __init__(self, program: LineDialog, login: Login) -> None:
        self._program = program
        self._login = login

    @property
    def has_ended(self) -> bool:
        """Whether nobody is there any more; ssh itself stays while libvirt speaks through it."""
        return self._program.is_over()

    def say(self, line: str) -> None:
        """Send a line. Raises VmnetError when nobody reads it."""
        self.send(line.encode() + b"\n")

    def send(self, data: bytes) -> None:
        """Send bytes. Raises VmnetError when nobody reads them, with its reason if it says one."""
        try:
            self._program.send(data)
        except OSError:
            if self._program.speaks(_END_S):
                raise refused(self._login, self.listen(0)) from None
            raise self._silent("it reads nothing any more") from None

    def speaks(self, within_s: float) -> bool:
        """Return whether it says something in that time, or never will."""
        return self._program.speaks(within_s)

    def hear(self, state: str, within_s: float) -> Mapping[str, Any]:
        """Wait for the line in which the other host says that state.

        Raises VmnetError with its reason when it says another, or nothing in time.
        """
        found = self.listen(within_s)
        if found.get("state") == state:
            return found
        raise refused(self._login, found)

    def listen(self, within_s: float) -> Mapping[str, Any]:
        """Return the next line, in which it says some state. Raises VmnetError without one."""
        line = self._program.read(within_s, _MOST)
        if line is None:
            raise self._silent("it has ended" if self.has_ended else "it has not answered in time")
        try:
            found = strict(line)
        except (ValueError, RecursionError):
            raise self._silent(f"it prints {one_line(line, 120)}") from None
        return found if isinstance(found, dict) else {}

    def _silent(self, why: str) -> VmnetError:
        return VmnetError(
            f"vmnet on {self._login} cannot be spoken with: {why}",
            fix=f"try it by hand: ssh {self._login.host} vmnet --version; its messages stand above",
        )


def refused(login: Login, said: Mapping[str, Any]) -> VmnetError:
    """Return what the other host says against it, as an error of this one's."""
    what, fix = (one_line(str(said.get(name, "")), 600) for name in ("what", "fix"))
    status = said.get("status")
    known = {int(x) for x in Exit} - {Exit.DONE}
    return VmnetError(
        f"{login} does not take it: {what or 'it says nothing of why'}",
        fix=fix or f"look there: ssh {login.host} vmnet doctor",
        status=Exit(status) if status in known else Exit.HOST_CANNOT,
    )


@contextmanager
def opened(login: Login, words: Sequence[str], folder: Path | None = None) -> Iterator[Peer]:
    """Run a command of vmnet's on another host, and lead the sockets in `folder`, if any, there.

    At the end of the block its standard input is closed, and its end is waited for.
    """
    if not programs.is_installed("ssh"):
        raise VmnetError("ssh is not installed", fix="install it: apt-get install openssh-client")
    ways: list[str] = []
    if folder:
        make_folder(folder)
        for name in (LIBVIRT, MEMORY, DISKS):
            ways += ("-L", f"{folder / name}:{folder / name}")
    options = [word for option in _OPTIONS for word in ("-o", option)]
    argv = ["ssh", "-T", "-x", "-a", *options, *ways, *login.argv, "vmnet", *words]
    program = LineDialog(argv)
    try:
        yield Peer(program, login)
    finally:
        program.end(_END_S)
        if folder:
            remove_folder(folder)


def state_line(state: str, **told: object) -> str:
    """Return a line in which a host says what state a move is in."""
    return json.dumps({"state": state, **told})
