"""Accounts of this host by name and number, and passwords hashed as crypt(3) keeps them."""

import os
import pwd
import stat
from pathlib import Path

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.errors import bad_input
from provisioner.host.system import programs
from provisioner.text import one_line

_MOST_UID = 0xFFFFFFFE  # chown(2) takes the number above it for "leave it"
_TIMEOUT_S = 30.0
_OTHERS = 0o002  # may write
_MOST_BYTES = 256  # openssl cuts off the rest


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this host: their numbers, name and home."""

    uid: int
    gid: int
    name: str
    home: Path


def caller() -> Account:
    """Return whoever runs vmnet: under sudo the user behind it, not root.

    sudo itself sets SUDO_UID; it is asked for as root alone, who may become anybody anyway.
    """
    uid = os.geteuid()
    behind = os.environ.get("SUDO_UID", "")
    if uid == 0 and behind.isascii() and behind.isdecimal() and int(behind) <= _MOST_UID:
        try:
            found = pwd.getpwuid(int(behind))
        except KeyError:
            pass
        else:
            return Account(found.pw_uid, found.pw_gid, found.pw_name, Path(found.pw_dir))
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and no entry in the user database
        home = Path("/nonexistent")
    return Account(uid, os.getegid(), name_of(uid), home)


def hand_over(file: int) -> None:
    """Give an open file, which has just been made, to whoever runs vmnet: under sudo not to root.

    Raises OSError.
    """
    if os.geteuid() == 0 and (who := caller()).uid:
        os.fchown(file, who.uid, who.gid)


def own_text(path: Path, of: Account, most_bytes: int) -> str | None:
    """Return the text of a file that its owner alone, or a group, may change; else None.

    Whatever the name leads to is judged before it is opened for reading, which by itself could do
    something to a device, or wait for ever.
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != of.uid or found.st_mode & _OTHERS:
            return None
        if found.st_size > most_bytes:
            return None
        return Path(f"/proc/self/fd/{handle}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    finally:
        os.close(handle)


def uid_of(user: str) -> int:
    """Return the number of a user given by name or number; raises VmnetError if there is none."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        if user.isdecimal() and user.isascii() and int(user) <= _MOST_UID:
            return int(user)
    raise bad_input(
        f'there is no user "{one_line(user, 60)}" on this host',
        "use a name that `getent passwd` lists, or a number",
    )


def name_of(uid: int) -> str:
    """Return the name of a user; the number as text when there is no name for it."""
    try:
        return one_line(pwd.getpwuid(uid).pw_name, 60)
    except KeyError:
        return str(uid)


def hashed(plan: str, vm: str, password: str) -> str:
    """Return the SHA-512 hash of a VM's password.

    Its salt is derived from the names, so that the same plan gives the same guest; not from the
    password, of which it would tell something. Raises VmnetError when it cannot be hashed.
    """
    if len(password.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        raise bad_input(
            f"the password of {vm} is longer than {_MOST_BYTES} bytes",
            "use a shorter one, or password_hash",
        )
    salt = naming.digest("password", plan, vm, size=8)
    words = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    # By its standard input: everybody may read the words of a command.
    ran = programs.run(words, timeout_s=_TIMEOUT_S, input=f"{password}\n")
    return ran.stdout.strip()
