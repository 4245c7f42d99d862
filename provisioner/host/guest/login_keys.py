"""Whom `ssh_keys: auto` lets into guests: the keys of whoever runs vmnet, or a key of the plan's.

The list that a plan's guests get is chosen once and kept with the plan's state, so a later run of
another user, or of a unit at boot, changes no guest. The private key is there only where the
caller had none; it belongs to the caller, and goes with the plan.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.system import accounts, file_errors, programs, whole_files
from provisioner.host.system.accounts import Account
from provisioner.host.system.paths import AUTHORIZED_KEYS as AUTHORIZED
from provisioner.host.system.paths import LOGIN_KEY as PRIVATE
from provisioner.plan.scalars import BadValue
from provisioner.plan.vm_scalars import AUTO_KEYS, ssh_key

_USUAL: Final = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_UNMADE = "ssh-ed25519 made-by-up"
_MOST_BYTES = 16 << 10
_MOST_KEYS = 16
_AGENT_S = 3.0
_KEYGEN_S = 30.0


@dataclass(frozen=True, slots=True)
class LoginKeys:
    """Public keys for new guests, whose they are, and why it is these."""

    keys: tuple[str, ...]
    whose: str
    why: str


def kept(home: Path) -> LoginKeys | None:
    """Return the keys that guests of the plan got; None where none has been chosen yet."""
    try:
        text = (home / AUTHORIZED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return LoginKeys(
        tuple(_valid(text.splitlines())), "as before", "the plan's first up chose them"
    )


def of_caller(caller: Account | None = None) -> LoginKeys:
    """Return the public keys that ssh would use for whoever runs vmnet, also by sudo.

    The agent's, and the usual files whose private key is there, too. What cannot be read, or is
    somebody else's, counts as not there.
    """
    caller = caller or accounts.caller()
    lines = list(_of_agent())
    for private in _private_keys(caller):
        text = accounts.own_text(private.with_name(f"{private.name}.pub"), caller, _MOST_BYTES)
        lines += (text or "").splitlines()
    keys = _valid(lines)
    once = {key.split()[1]: key for key in reversed(keys)}
    found = tuple(key for key in keys if once[key.split()[1]] is key)[:_MOST_KEYS]
    number = f"{len(found)} key{'s' * (len(found) != 1)} of whoever runs vmnet"
    return LoginKeys(found, f"of {caller.name}", number)


def expected(home: Path) -> LoginKeys:
    """Return what `chosen` would give, and touch nothing; a key to be made has no body yet."""
    found = kept(home) or of_caller()
    return found if found.keys or not _can_make() else _own(_UNMADE, home)


def chosen(home: Path) -> LoginKeys:
    """Choose the keys for a plan's first guests and keep the choice; it is made once.

    Without ssh-keygen, which a key of the plan's needs, there may be none. Raises VmnetError when
    the choice cannot be stored.
    """
    if found := kept(home):
        return found
    caller = accounts.caller()
    found = of_caller(caller)
    try:
        if not found.keys and _can_make():
            found = _own(_made(home, caller), home)
        text = "".join(f"{key}\n" for key in found.keys)
        whole_files.write_public(home / AUTHORIZED, text)
    except OSError as error:
        raise file_errors.converted(error, "cannot keep the keys for guests in", home) from error
    return found


def private_files(home: Path) -> tuple[str, ...]:
    """Return the private keys that ssh is to be told of; none where its own choice is right.

    Its own are those of the user that it runs as: under sudo that is not the caller.
    """
    caller = accounts.caller()
    own = home / PRIVATE
    extra = [str(own)] if os.access(own, os.R_OK) else []
    if not extra and caller.uid == os.geteuid():
        return ()
    # With one -i, ssh does not look for the usual ones any more.
    return (*map(str, _private_keys(caller)), *extra)


def _own(key: str, home: Path) -> LoginKeys:
    why = f"whoever runs vmnet has none; vmnet ssh uses {home / PRIVATE}"
    return LoginKeys((key,), "of the plan", why)


def _can_make() -> bool:
    return programs.is_installed("ssh-keygen")


def _private_keys(caller: Account) -> Iterator[Path]:
    for name in _USUAL:
        private = caller.home / ".ssh" / name
        if private.is_file():
            yield private


def _of_agent() -> Sequence[str]:
    if not os.environ.get("SSH_AUTH_SOCK") or not programs.is_installed("ssh-add"):
        return ()
    try:
        ran = programs.run(["ssh-add", "-L"], timeout_s=_AGENT_S, check=False)
    except VmnetError:
        return ()  # an agent that does not answer
    return ran.stdout.splitlines() if ran.returncode == 0 else ()


def _valid(lines: Sequence[str]) -> list[str]:
    """Return the lines that are keys as a plan may have them, with nothing before the type."""
    found = []
    for line in lines:
        try:
            key = ssh_key(line)
        except BadValue:
            continue
        if key != AUTO_KEYS:
            found.append(key)
    return found


def _made(home: Path, caller: Account) -> str:
    """Make a key pair of the plan's own; keep the private half, return the public one."""
    draft = home / f".{PRIVATE}.part"
    public = draft.with_name(f"{draft.name}.pub")
    for left in (draft, public, home / PRIVATE):
        left.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vmnet", "-f", str(draft)]
    programs.run(argv, timeout_s=_KEYGEN_S, fix="vmnet needs OpenSSH's client: openssh-client")
    line = public.read_text(encoding="ascii").strip()
    public.unlink()
    if os.geteuid() == 0:
        shutil.chown(draft, caller.uid, caller.gid)
    draft.rename(home / PRIVATE)
    return line
