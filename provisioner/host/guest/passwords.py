"""Passwords in the clear, hashed as crypt(3) keeps them."""

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.system import programs

_TIMEOUT_S = 30.0
_MOST_BYTES = 256  # openssl cuts off the rest


def hashed(plan: str, vm: str, password: str) -> str:
    """Give the SHA-512 hash of a VM's password.

    Its salt is derived from the names, so that the same plan gives the same guest; not from the
    password, of which it would tell something. Raises VmnetError when it cannot be hashed.
    """
    if len(password.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        raise VmnetError(
            f"the password of {vm} is longer than {_MOST_BYTES} bytes",
            fix="use a shorter one, or password_hash",
            status=Exit.BAD_INPUT,
        )
    salt = naming.digest("password", plan, vm, size=8)
    words = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    # By its standard input: everybody may read the words of a command.
    ran = programs.run(words, timeout_s=_TIMEOUT_S, input=f"{password}\n")
    return ran.stdout.strip()
