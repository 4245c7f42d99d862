"""What a plan says of a guest's inside and its disks: text in, value out, or a complaint."""

import re

from provisioner.plan.scalars import BadValue, flag, is_flag, quoted, scalar

NO_IMAGE = "none"
"""The image of a guest that has none: it boots a kernel of the plan's."""

_IMAGE = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,8}) ?(M|Mi|MiB|G|Gi|GiB|T|Ti|TiB)")
_MIB = {"M": 1, "G": 1024, "T": 1024 * 1024}
_LEAST_MIB, _MOST_MIB = 1, 16 * 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")
_LOGIN = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_CPU = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:-]{0,127}(=[A-Za-z0-9.+:~-]{1,127})?")
_HASH = re.compile(r"\$(?:[0-9a-z]{1,8})\$[A-Za-z0-9./$,=+-]{8,256}")
_MODE = re.compile(r"0?[0-7]{3}")
_OWNER = re.compile(r"[a-z_][a-z0-9_-]{0,31}(:[a-z_][a-z0-9_-]{0,31})?")
_XML_PATH = re.compile(r"(qemu:)?[A-Za-z][\w-]*(/(qemu:)?[A-Za-z][\w-]*){0,7}(@[A-Za-z][\w-]*)?")
_MOST_TEXT = 64 * 1024
_MOST_PATH = 4096
_MOST_PORT = 65535
_MOST_PASSWORD = 256


def image(value: object) -> str:
    """Take an image: a name, `none`, `file:PATH`, or an address that begins with http."""
    text = scalar(value)
    if _IMAGE.fullmatch(text):
        return text
    for scheme in ("file:", "https://", "http://"):
        if text.startswith(scheme) and len(text) > len(scheme) and len(text) < _MOST_PATH:
            return text
    raise BadValue(
        f"{quoted(text)} is not an image",
        "write a name such as micro or debian-12 (vmnet image ls), file:PATH or https://…",
    )


def digest(value: object) -> str:
    """Take a SHA-256 or SHA-512 digest in hexadecimal; lower case comes back."""
    text = scalar(value).lower()
    if not _DIGEST.fullmatch(text):
        raise BadValue(
            f"{quoted(text)} is not a SHA-256 or SHA-512 digest",
            "write its 64 or 128 hexadecimal digits, as sha256sum prints them",
        )
    return text


def size_mib(value: object) -> int:
    """Take the size of a disk, in MiB."""
    text = scalar(value)
    parts = _SIZE.fullmatch(text)
    if parts is None:
        raise BadValue(f"{quoted(text)} is not the size of a disk", "write it like 20G or 512M")
    mib = int(parts[1]) * _MIB[parts[2][0]]
    if not _LEAST_MIB <= mib <= _MOST_MIB:
        raise BadValue(f"{quoted(text)} cannot be the size of a disk", "write 1M to 16T")
    return mib


def path(value: object) -> str:
    """Take the path of a file, as it was written."""
    text = scalar(value)
    if len(text) > _MOST_PATH or "\0" in text:
        raise BadValue(f"{quoted(text)} is not the path of a file", "write ./FILE or /FOLDER/FILE")
    return text


def device(value: object) -> str:
    """Take the path of a block device of the host."""
    text = path(value)
    if not text.startswith("/dev/") or ".." in text.split("/"):
        raise BadValue(
            f"{quoted(text)} is not a device", "name it by its id: ls -l /dev/disk/by-id"
        )
    return text


def login(value: object) -> str:
    """Take the name of a user inside a guest."""
    text = scalar(value)
    if not _LOGIN.fullmatch(text):
        raise BadValue(
            f"{quoted(text)} cannot name a user",
            "use a-z, 0-9, _ and -, a letter or _ first, at most 32 characters",
        )
    return text


def password_hash(value: object) -> str:
    """Take a password as crypt(3) keeps it."""
    text = scalar(value)
    if not _HASH.fullmatch(text):
        raise BadValue("this is not a password's hash", "make one, and quote it: openssl passwd -6")
    return text


def password(value: object) -> str:
    """Take a password in the clear; its text never comes back in a complaint."""
    text = scalar(value)
    if "\n" in text or len(text) > _MOST_PASSWORD:
        raise BadValue("this cannot be a password", "use one line of at most 256 characters")
    return text


def package(value: object) -> str:
    """Take the name of a package of the guest's distribution."""
    text = scalar(value)
    if not _PACKAGE.fullmatch(text):
        raise BadValue(f"{quoted(text)} is not a package", "write its name, as in nginx")
    return text


def command(value: object) -> str:
    """Take a line for the guest's shell."""
    text = scalar(value)
    if len(text) > _MOST_TEXT:
        raise BadValue("this command is too long", "put it into a file of the guest: files:")
    return text


def content(value: object) -> str:
    """Take the text of a file; it may be empty."""
    text = "" if value in {None, ""} else scalar(value)
    if len(text) > _MOST_TEXT:
        raise BadValue("this content is too long", "64 KiB at most: put it on a disk")
    return text


def guest_path(value: object) -> str:
    """Take the absolute path of a file inside a guest."""
    text = path(value)
    if not text.startswith("/") or text.endswith("/") or ".." in text.split("/"):
        raise BadValue(f"{quoted(text)} is not a file's path in a guest", "begin it with /")
    return text


def file_mode(value: object) -> str:
    """Take a file's permissions, in octal."""
    text = scalar(value)
    if not _MODE.fullmatch(text):
        raise BadValue(f"{quoted(text)} are not permissions", "write them in octal, as in 0644")
    return text.rjust(4, "0")


def owner(value: object) -> str:
    """Take USER or USER:GROUP of a file inside a guest."""
    text = scalar(value)
    if not _OWNER.fullmatch(text):
        raise BadValue(f"{quoted(text)} is not an owner", "write USER or USER:GROUP")
    return text


def cpu_model(value: object) -> str:
    """Take a CPU model of QEMU's, `host` or `max`."""
    text = scalar(value)
    if not _CPU.fullmatch(text):
        raise BadValue(f"{quoted(text)} is not a CPU model", "see: qemu-system-x86_64 -cpu help")
    return text


def xml_path(value: object) -> str:
    """Take the path of an element of a domain's XML, as in devices/rng."""
    text = scalar(value)
    if not _XML_PATH.fullmatch(text):
        raise BadValue(f"{quoted(text)} is not an element's path", "write it like devices/rng")
    return text


def ready(value: object) -> str:
    """Take what makes a guest ready: agent, address, ssh, tcp/PORT, cloud-init, or a command."""
    text = scalar(value)
    word, _, rest = text.partition(" ")
    if text in {"agent", "address", "ssh", "cloud-init", "started"}:
        return text
    if word == "command" and rest.strip():
        return f"command {rest.strip()}"
    port = text.removeprefix("tcp/")
    if port != text and port.isdecimal() and 0 < int(port) <= _MOST_PORT:
        return text
    raise BadValue(
        f"{quoted(text)} is not a sign that a guest is ready",
        "use agent, address, ssh, tcp/PORT, cloud-init, started, or: command PROGRAM ARGUMENT",
    )


def unsupported(what: str, why: str) -> object:
    """Give a reader that refuses whatever is written: `what` is left out of vmnet on purpose."""

    def refuse(value: object) -> bool:
        if is_flag(value) and not flag(value):
            return False
        raise BadValue(f"vmnet has no {what}", why)

    return refuse
