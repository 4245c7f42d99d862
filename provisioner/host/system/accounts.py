"""Accounts of this host by name and number, and passwords hashed as crypt(3) keeps them."""

import pwd

from provisioner import naming
from provisioner.errors import bad_input
from provisioner.host.system import programs
from provisioner.text import one_line

_MOST_UID = 0xFFFFFFFE  # chown(2) takes the number above it for "leave it"
_TIMEOUT_S = 30.0
_MOST_BYTES = 256  # openssl cuts off the rest


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
