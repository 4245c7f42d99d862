"""Command lines of OpenSSH: its options, its files, and what a path inside a guest is.

A guest is known by its host key alone, under a name of its own (HostKeyAlias): addresses change
hands. The user's own configuration and known_hosts have no part in it; keys and agent have.
"""

import shlex
from collections.abc import Collection, Iterable, Sequence
from ipaddress import ip_address
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.guest import host_key
from provisioner.pattern import pattern

_PLAN_OR_VM: Final = pattern(r"[a-z0-9]([a-z0-9-]{0,62})")
_USER: Final = pattern(r"[a-z_][a-z0-9_-]{0,31}")
_CONNECT_S: Final = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """The private keys that ssh is told of; none leaves it to ssh, whose agent is asked anyway."""

    files: tuple[str, ...] = ()
    alone: bool = False  # no other key is offered, not the agent's either


ANY: Final = Identity()


@dataclass(frozen=True, slots=True)
class SshLogin:
    """A guest as an ssh destination: the alias of its host key, its user, its address."""

    plan: str
    vm: str
    user: str
    address: str
    known_hosts: str  # the path of the plan's file

    def __post_init__(self) -> None:
        """Check that no part of it can be taken for an option or another argument."""
        names = _PLAN_OR_VM.fullmatch(self.plan) and _PLAN_OR_VM.fullmatch(self.vm)
        if not names or not _USER.fullmatch(self.user):
            raise ValueError(self)
        ip_address(self.address)
        if any(not c.isprintable() or c == '"' for c in self.known_hosts):
            raise VmnetError(
                "the path of the plan's known_hosts cannot be passed to ssh",
                fix="set VMNET_STATE_DIR to a path of letters",
            )

    @property
    def alias(self) -> str:
        """Return the name that the guest's host key is kept under."""
        return host_key.alias(self.plan, self.vm)


def knows(known_hosts: str, name: str) -> bool:
    """Return whether a known_hosts file has a key for a name."""
    return any(
        name in line.split(" ", 1)[0].split(",")
        for line in known_hosts.splitlines()
        if not line.startswith(("#", "@"))
    )


def options(to: SshLogin, identity: Identity = ANY, jump: SshLogin | None = None) -> list[str]:
    """Return the options that ssh, scp and sftp have in common."""
    settings = _known_by(to) | {"ConnectTimeout": f"{_CONNECT_S}"}
    if identity.alone:
        settings["IdentitiesOnly"] = "yes"
    if jump:
        settings["ProxyCommand"] = _through(jump, identity)
    argv = ["-F", "none"]
    for key, value in settings.items():
        argv += ["-o", f"{key}={value}"]
    return argv + [word for file in identity.files for word in ("-i", file)]


def ssh(
    to: SshLogin,
    command: Sequence[str] = (),
    identity: Identity = ANY,
    jump: SshLogin | None = None,
) -> list[str]:
    """Return the command line of ssh.

    The guest's shell gets the arguments as one line; each is quoted, to arrive as it is.
    """
    there = ["-l", to.user, "--", to.address]
    line = [shlex.join(command)] if command else []
    return ["ssh", *options(to, identity, jump), *there, *line]


@dataclass(frozen=True, slots=True)
class CopySpec:
    """What is to be copied: a file of this host, and VM:PATH; `to_guest` is the direction."""

    here: str
    vm: str
    there: str
    to_guest: bool


def copy_spec(source: str, target: str, vms: Collection[str] | None) -> CopySpec:
    """Parse the two arguments of vmnet cp, one of which is VM:PATH; without `vms` any name is one.

    What has a / before its colon is a file of this host, as scp has it. Raises VmnetError.
    """
    inside = [_inside(argument, vms) for argument in (source, target)]
    match inside:
        case [None, (str(vm), str(path))]:
            return CopySpec(source, vm, path, to_guest=True)
        case [(str(vm), str(path)), None]:
            return CopySpec(target, vm, path, to_guest=False)
        case [None, None]:
            what = "neither of the two is in a guest"
        case _:
            what = "both of the two are in guests"
    raise bad_input(
        what,
        "write VM:PATH for one of them, a path of this host for the other: vmnet cp a.txt web:",
    )


def _inside(argument: str, vms: Collection[str] | None) -> tuple[str, str] | None:
    vm, colon, path = argument.partition(":")
    if not colon or "/" in vm:
        return None
    if vms is not None and vm not in vms:
        raise bad_input(
            f'the plan has no VM "{vm}"',
            f"its VMs: {', '.join(vms)}; a file of this host with a colon: ./{argument}",
        )
    return vm, path


def scp(
    to: SshLogin,
    copy: CopySpec,
    identity: Identity = ANY,
    jump: SshLogin | None = None,
    *,
    folders: bool = False,
) -> list[str]:
    """Return the command line of scp, which uses SFTP: no shell expands the path."""
    there = f"{to.user}@{_bracketed(to.address)}:{copy.there}"
    here = copy.here if copy.here.startswith(("/", "./", "../")) else f"./{copy.here}"
    argv = [here, there] if copy.to_guest else [there, here]
    return ["scp", *options(to, identity, jump), *(["-r"] if folders else []), "--", *argv]


def config(
    logins: Iterable[tuple[SshLogin, str]], left_out: Iterable[str], identity: Identity = ANY
) -> str:
    """Write a ssh_config: a Host for each guest, as VM and as PLAN-VM, with its jump if any.

    `left_out` are lines of why other guests are not in it.
    """
    lines = ["# Made by vmnet export ssh-config. Use it so: ssh -F THIS_FILE VM"]
    for to, jump in logins:
        lines += ["", f"Host {to.vm} {to.plan}-{to.vm}"]
        values = {"HostName": to.address, "User": to.user} | _known_by(to)
        if identity.alone:
            values["IdentitiesOnly"] = "yes"
        if jump:
            values["ProxyJump"] = f"{to.plan}-{jump}"
        lines += [f"    {key} {value}" for key, value in values.items()]
        lines += [f"    IdentityFile {_file(file)}" for file in identity.files]
    lines += [f"\n# {why}" for why in left_out]
    return "\n".join(lines) + "\n"


def _known_by(to: SshLogin) -> dict[str, str]:
    """Return the settings by which ssh knows a guest by its host key, and by nothing else."""
    return {
        "HostKeyAlias": to.alias,
        "UserKnownHostsFile": _file(to.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
    }


def _through(jump: SshLogin, identity: Identity) -> str:
    """Return ProxyCommand, a line for the shell: ssh writes %h and %p out, and %% as a percent."""
    plain = ssh(jump, (), identity)
    at = plain.index("--")
    argv = [argument.replace("%", "%%") for argument in plain]
    return shlex.join(argv[:at]) + " -W '[%h]:%p' " + shlex.join(argv[at:])


def _file(path: str) -> str:
    """Write a path as ssh's options want it: a percent is doubled, and a blank parts two files."""
    return '"' + path.replace("%", "%%") + '"'


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
