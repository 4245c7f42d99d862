"""A machine on the LAN that can be logged in to: a real sshd in the namespace behind a NIC."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.framework.lab import call, until
from tests.framework.wire import CabledNic

_PRIVILEGES = Path("/run/sshd")  # sshd wants it to be there

_SERVER = """\
Port {port}
ListenAddress {address}
HostKey {room}/host
AuthorizedKeysFile {room}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile {room}/pid
"""
_CLIENT = """\
Host nas
    HostName {address}
    Port {port}
    User root
Host *
    IdentityFile {room}/user
    IdentitiesOnly yes
    UserKnownHostsFile {room}/known_hosts
    GlobalKnownHostsFile none
"""


@dataclass(frozen=True, slots=True)
class Sshd:
    """Where the server is, and the folder whose `ssh` reads the configuration of the test."""

    address: str
    port: int
    programs: Path
    process: "subprocess.Popen[str]"


@contextmanager
def sshd(wire: CabledNic, room: Path, address: str, port: int) -> Iterator[Sshd]:
    """Serve on the machine behind the NIC; `nas` is an alias for it in ssh's configuration."""
    for name in ("host", "user"):
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(room / name))
    about = {"address": address, "port": port, "room": room}
    (room / "server").write_text(_SERVER.format(**about))
    (room / "client").write_text(_CLIENT.format(**about))
    key = (room / "host.pub").read_text().split()
    (room / "known_hosts").write_text(f"[{address}]:{port} {key[0]} {key[1]}\n")
    programs = room / "programs"
    programs.mkdir()
    # ssh takes its configuration from the home of the account, whatever HOME says.
    (programs / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {room}/client "$@"\n')
    (programs / "ssh").chmod(0o755)
    ours = not _PRIVILEGES.exists()
    _PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
    argv = ["ip", "netns", "exec", wire.lan, "/usr/sbin/sshd", "-D", "-e", "-f", f"{room}/server"]
    with (room / "log").open("w") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log, text=True)
    try:
        until(lambda: "Server listening" in (room / "log").read_text(), "sshd listens", 20)
        yield Sshd(address, port, programs, process)
    finally:
        process.terminate()
        process.wait()
        if ours:
            _PRIVILEGES.rmdir()
