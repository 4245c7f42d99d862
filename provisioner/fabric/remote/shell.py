"""How programs are run on a host by ssh, as Ansible would log in there: command lines, pure."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.plan.hosts import Login
from provisioner.text import one_line

KEYS: Final = (
    "connection",
    "host",
    "user",
    "port",
    "key",
    "ssh_args",
    "common_args",
    "extra_args",
    "become",
    "become_method",
    "become_user",
    "executable",
)
"""What the playbook `where` says of a host: texts, empty where the inventory says nothing."""

_BY_SSH: Final = ("", "smart", "ssh", "ansible.builtin.ssh")
_HERE: Final = ("local", "ansible.builtin.local")
_SUDO: Final = ("", "sudo", "ansible.builtin.sudo")
# A host that is lost is noticed within a minute; ssh's own escape character is not the console's.
_ALWAYS: Final = (
    *("-e", "none"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=15"),
    *("-o", "ServerAliveCountMax=3"),
)


@dataclass(frozen=True, slots=True)
class HostShell:
    """A host's shell: `login` are words of ssh, none where the host is this one."""

    login: tuple[str, ...] = ()
    become: tuple[str, ...] = ()  # words that lead to another user there
    executable: str = "vmnet"

    def vmnet(self, words: Sequence[str]) -> str:
        """Return the line that runs a vmnet command there."""
        return self.line([self.executable, *words])

    def line(self, words: Sequence[str]) -> str:
        """Return the line that runs a program there."""
        return shlex.join([*self.become, *words])

    def argv(self, line: str, *, terminal: bool = False, log: str = "") -> list[str]:
        """Return the command line that runs a line there.

        With `terminal` it has the terminal, and may ask for what ssh needs. `log` is the file that
        gets ssh's own messages, so that they are told from those of the program.
        """
        if not self.login:
            return ["sh", "-c", line]
        own = ["-t"] if terminal else ["-T", "-o", "BatchMode=yes"]
        into = ["-o", "LogLevel=ERROR", "-E", log] if log else []
        return ["ssh", *own, *into, *_ALWAYS, *self.login, line]


def shell_of_login(login: Login) -> HostShell:
    """Return the shell of a host that is logged in to as a plan says."""
    return HostShell(login.argv)


def shell_of(host: str, said: Mapping[str, Any]) -> HostShell:
    """Return the shell of a host, as its inventory says; `said` has KEYS.

    Raises VmnetError, status HOST_CANNOT, where Ansible gets there by other ways than ssh and sudo.
    """
    text = {key: str(said.get(key) or "") for key in KEYS}
    if text["connection"] not in (*_BY_SSH, *_HERE):
        raise _unusable(host, f"its connection is {one_line(text['connection'], 60)}, and not ssh")
    executable = text["executable"] or "vmnet"
    become = _become(host, text)
    if text["connection"] in _HERE:
        return HostShell((), become, executable)
    try:
        args = [w for k in ("ssh_args", "common_args", "extra_args") for w in shlex.split(text[k])]
    except ValueError as error:
        raise _unusable(host, f"its arguments of ssh are no words: {error}") from None
    key = ["-i", text["key"]] if text["key"] else []
    port = ["-p", text["port"]] if text["port"] else []
    user = ["-l", text["user"]] if text["user"] else []
    login = (*args, *key, *port, *user, "--", text["host"] or host)
    return HostShell(login, become, executable)


def _become(host: str, text: Mapping[str, str]) -> tuple[str, ...]:
    if text["become"].lower() not in {"true", "yes", "on", "1", "y"}:
        return ()
    if text["become_method"] not in _SUDO:
        method = one_line(text["become_method"], 60)
        raise _unusable(host, f"its become_method is {method}, and not sudo")
    user = ("-u", text["become_user"]) if text["become_user"] else ()
    return ("sudo", "-n", "-H", *user, "--")


def _unusable(host: str, why: str) -> VmnetError:
    return VmnetError(
        f"{one_line(host)} is not reached in this way: {why}",
        fix="log in to it yourself, and run the command there",
        status=Exit.HOST_CANNOT,
    )
