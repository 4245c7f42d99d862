"""What a plan says of a guest's inside and its disks: text in, value out, or a complaint."""

import binascii

from provisioner.dataclass import dataclass
from provisioner.plan.scalars import BadValue, Matching, amount_mib, flag, is_flag, quoted, scalar

NO_IMAGE = "none"
"""The image of a guest that has none: it boots a kernel of the plan's."""

LEAST_DISK_MIB, MOST_DISK_MIB = 1, 16 * 1024 * 1024
AUTO_KEYS, NO_KEYS = "auto", "none"
"""Stand among ssh_keys for the keys of whoever brings the guest up, and for no key at all."""

KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
READY_SIGNS = ("started", "agent", "address", "ssh", "cloud-init")
"""The signs that a guest is ready which are one word."""

MOST_PORT = 65535
_USER = r"[a-z_][a-z0-9_-]{0,31}"
_NO_PARENTS = r"(?!.*/\.\.(/|\Z))"  # no ".." between its slashes

image = Matching(
    r"[a-z0-9][a-z0-9.-]{0,62}|(?=.{1,4095}\Z)(file:|https?://).+",
    "{text} is not an image",
    "write a name such as micro or debian-12 (vmnet image ls), file:PATH or https://…",
)
"""A name, `none`, `file:PATH`, or an address that begins with http."""

digest = Matching(
    r"[0-9a-f]{64}|[0-9a-f]{128}",
    "{text} is not a SHA-256 or SHA-512 digest",
    "write its 64 or 128 hexadecimal digits, as sha256sum prints them",
    lambda value: scalar(value).lower(),
)
path = Matching(
    r"[^\0]{1,4096}", "{text} is not the path of a file", "write ./FILE or /FOLDER/FILE"
)
device = Matching(
    _NO_PARENTS + r"/dev/.*",
    "{text} is not a device",
    "name it by its id: ls -l /dev/disk/by-id",
    path,
)
guest_path = Matching(
    _NO_PARENTS + r"/.*[^/]", "{text} is not a file's path in a guest", "begin it with /", path
)
login = Matching(
    _USER,
    "{text} cannot name a user",
    "use a-z, 0-9, _ and -, a letter or _ first, at most 32 characters",
)
owner = Matching(f"{_USER}(:{_USER})?", "{text} is not an owner", "write USER or USER:GROUP")
password = Matching(  # in the clear: its text never comes back in a complaint
    r"[^\n]{1,256}", "this cannot be a password", "use one line of at most 256 characters"
)
password_hash = Matching(  # as crypt(3) keeps it
    r"\$(?:[0-9a-z]{1,8})\$[A-Za-z0-9./$,=+-]{8,256}",
    "this is not a password's hash",
    "make one, and quote it: openssl passwd -6",
)
command = Matching(  # for the guest's shell
    r".{1,65536}", "this command is too long", "put it into a file of the guest: files:"
)
content = Matching(  # of a file, which may be empty
    r".{0,65536}",
    "this content is too long",
    "64 KiB at most: put it on a disk",
    lambda value: "" if value is None or value == "" else scalar(value),
)
package = Matching(
    r"[A-Za-z0-9][A-Za-z0-9+._:-]{0,127}(=[A-Za-z0-9.+:~-]{1,127})?",
    "{text} is not a package",
    "write its name, as in nginx",
)
cpu_model = Matching(  # of QEMU's, or host, or max
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
    "{text} is not a CPU model",
    "see: qemu-system-x86_64 -cpu help",
)
xml_path = Matching(  # of an element in a domain's XML
    r"(qemu:)?[A-Za-z][\w-]*(/(qemu:)?[A-Za-z][\w-]*){0,7}(@[A-Za-z][\w-]*)?",
    "{text} is not an element's path",
    "write it like devices/rng",
)
_octal = Matching(r"0?[0-7]{3}", "{text} are not permissions", "write them in octal, as in 0644")


def key_list(value: object) -> object:
    """Return the ssh keys of a guest as a list: `none` is an empty one."""
    return [] if value in (NO_KEYS, [NO_KEYS]) else value


def ssh_key(value: object) -> str:
    """Return `auto`, or a line of a .pub file of OpenSSH: type, key, comment; no options."""
    line = scalar(value).strip()
    if line == AUTO_KEYS:
        return line
    fix = "paste the one line of a .pub file, as in: ssh-ed25519 AAAA… me@home"
    if "PRIVATE KEY" in line:
        raise BadValue("this is a private key: whoever reads the plan could use it", fix)
    words = line.split(" ", 2)
    if not line.isprintable() or words[0] not in KEY_TYPES or len(words) == 1:
        raise BadValue(f"{quoted(line)} is not a public key of OpenSSH", fix)
    kind = words[0].encode()
    try:
        body = binascii.a2b_base64(words[1], strict_mode=True)
    except ValueError:
        body = b""
    if not body.startswith(len(kind).to_bytes(4, "big") + kind):
        raise BadValue(f"the {words[0]} key is damaged: its body does not hold one", fix)
    return line


def size_mib(value: object) -> int:
    """Parse the size of a disk to MiB; its unit must be written."""
    text = scalar(value)
    mib, unit = amount_mib(text) or (0, None)
    if unit is None:
        raise BadValue(f"{quoted(text)} is not the size of a disk", "write it like 20G or 512M")
    if not LEAST_DISK_MIB <= mib <= MOST_DISK_MIB:
        raise BadValue(f"{quoted(text)} cannot be the size of a disk", "write 1M to 16T")
    return mib


def file_mode(value: object) -> str:
    """Return a file's permissions as four octal digits."""
    return _octal(value).rjust(4, "0")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) <= MOST_PORT


def ready(value: object) -> str:
    """Return what makes a guest ready: agent, address, ssh, tcp/PORT, cloud-init, or a command."""
    text = scalar(value)
    word, _, rest = text.partition(" ")
    if text in READY_SIGNS:
        return text
    if word == "command" and rest.strip():
        return f"command {rest.strip()}"
    port = text.removeprefix("tcp/")
    if port != text and _is_port(port):
        return text
    raise BadValue(
        f"{quoted(text)} is not a sign that a guest is ready",
        "use agent, address, ssh, tcp/PORT, cloud-init, started, or: command PROGRAM ARGUMENT",
    )


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The reader that takes false alone: `what` is left out of vmnet on purpose."""

    what: str
    fix: str

    def __call__(self, value: object) -> bool:
        """Return False. Raises BadValue for anything else."""
        if is_flag(value) and not flag(value):
            return False
        raise BadValue(f"vmnet has no {self.what}", self.fix)
