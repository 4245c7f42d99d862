"""What is known of an image in the store: the record that stands beside its content."""

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from provisioner.errors import Exit, VmnetError
from provisioner.text import one_line

if TYPE_CHECKING:
    from pydantic import TypeAdapter

BUILT_IN: Final = frozenset({"micro"})
"""Names of images that are not files of the store."""

MOST_NAME: Final = 63
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*", re.ASCII)
_CONTENT = re.compile(r"sha256-([0-9a-f]{64})", re.ASCII)
_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})", re.ASCII)
_SUFFIXES = re.compile(r"(\.(qcow2|img|raw|iso|tar|tgz|txz|gz|xz|bz2|zst))+$", re.ASCII)

Format = Literal["qcow2", "raw"]
Firmware = Literal["bios", "uefi"]


@dataclass(frozen=True, slots=True)
class Traits:
    """What a guest of the image needs and offers; a kernel boots without firmware's help."""

    boot: tuple[Firmware, ...] = ("bios",)
    user: str = "root"
    min_memory_mib: int = 256
    min_cpu: str = ""
    agent: bool = False
    cloud_init: bool = True
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image comes from, and what is known of it before it has been read.

    `source` is told and stored: passwords and tokens have been taken out of it. `digest` is that
    of the file as it is given, packed or not: "sha256:HEX", "sha512:HEX" or "" when none is known.
    `raw` says that the user vouches for content in which nothing can be recognised.
    """

    name: str
    source: str
    traits: Traits = field(default_factory=Traits)
    digest: str = ""
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A record of the store: a name for a content. Sizes are bytes, `imported` is in UTC."""

    name: str
    digest: str
    format: Format
    virtual_size: int
    size: int
    source: str
    imported: str
    traits: Traits


def content_name(digest: str) -> str:
    """Name the file of a content in the store."""
    return f"sha256-{digest}"


def digest_of(content: str) -> str | None:
    """Give the digest that a file of the store is named after, None for any other name."""
    match = _CONTENT.fullmatch(content)
    return match[1] if match else None


def known_digest(text: str) -> tuple[str, str]:
    """Take "sha256:HEX" or "sha512:HEX" apart. Raises VmnetError for anything else."""
    match = _DIGEST.fullmatch(text.strip().lower())
    if match is None:
        raise VmnetError(
            f'"{one_line(text, 150)}" is not a SHA-256',
            fix="copy the 64 hexadecimal digits from the vendor's list of digests",
            status=Exit.BAD_INPUT,
        )
    kind, digits = (each for each in match.groups() if each)
    return kind, digits


def require_name(name: str) -> str:
    """Give the name back when an image can bear it. Raises VmnetError otherwise."""
    if name in BUILT_IN:
        raise VmnetError(
            f'"{name}" is the name of an image that vmnet builds',
            fix="give it another one: --name NAME",
            status=Exit.BAD_INPUT,
        )
    if not is_name(name):
        raise VmnetError(
            f'an image cannot be named "{one_line(name, 80)}"',
            fix=f"use a-z, 0-9, . and -, a letter or digit first, at most {MOST_NAME} of them: "
            "--name NAME",
            status=Exit.BAD_INPUT,
        )
    return name


def is_name(name: str) -> bool:
    """Tell whether an image can have this name: it becomes part of a file's name."""
    return len(name) <= MOST_NAME and _NAME.fullmatch(name) is not None


def name_from(file_name: str) -> str:
    """Derive an image's name from that of its file; "" when nothing of it can be used."""
    stem = _SUFFIXES.sub("", file_name.lower())
    return re.sub(r"[^a-z0-9.]+", "-", stem).strip("-.")[:MOST_NAME]


def as_json(record: Stored) -> bytes:
    """Write a record."""
    return _records().dump_json(record, indent=1) + b"\n"


def from_json(text: bytes) -> Stored | None:
    """Read a record, None when it is not one."""
    try:
        return _records().validate_json(text, strict=True)
    except ValueError:
        return None


@cache
def _records() -> "TypeAdapter[Stored]":
    from pydantic import TypeAdapter

    return TypeAdapter(Stored)
