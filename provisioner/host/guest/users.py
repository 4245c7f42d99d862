"""Users of this host: names to numbers and back."""

import pwd

from provisioner.errors import Exit, VmnetError
from provisioner.text import one_line

_MOST = 0xFFFFFFFE  # chown(2) takes the number above it for "leave it"


def uid_of(user: str) -> int:
    """Give the number of a user who is told by name or number; raises VmnetError for nobody."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        if user.isdecimal() and user.isascii() and int(user) <= _MOST:
            return int(user)
    raise VmnetError(
        f'there is no user "{one_line(user, 60)}" on this host',
        fix="use a name that `getent passwd` lists, or a number",
        status=Exit.BAD_INPUT,
    )


def name_of(uid: int) -> str:
    """Give the name of a user; the number as text when there is no name for it."""
    try:
        return one_line(pwd.getpwuid(uid).pw_name, 60)
    except KeyError:
        return str(uid)
