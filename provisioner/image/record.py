"""What is known of an image in the store: the record that stands beside its content."""

import re
from dataclasses import field
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from provisioner.dataclass import dataclass
from provisioner.errors import bad_input
from provisioner.image.digest import Digest
from provisioner.image.traits import ImageTraits
from provisioner.pattern import pattern
from provisioner.text import one_line

if TYPE_CHECKING:
    from pydantic import TypeAdapter

BUILT_IN: Final = frozenset({"micro"})
"""Names of images that are not files of the store."""

MOST_NAME: Final = 63
_MOST_SIZE: Final = 1 << 50
_NAME = pattern(r"[a-z0-9][a-z0-9.-]*", re.ASCII)
_CONTENT = pattern(r"sha256-([0-9a-f]{64})", re.ASCII)
_SUFFIXES = pattern(r"(\.(qcow2|img|raw|iso|tar|tgz|txz|gz|xz|bz2|zst))+$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image comes from, and what is known of it before it has been read.

    `source` is shown and stored: passwords and tokens have been taken out of it. `digest` is that
    of the file as it comes, packed or not. `raw`: the user vouches for content in which
    nothing can be recognised.
    """

    name: str
    source: str
    traits: ImageTraits = field(default_factory=ImageTraits)
    digest: Digest | None = None
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A record of the store: a name for a content. Sizes are bytes, `imported` is in UTC."""

    name: str
    digest: str  # SHA-256, hexadecimal
    format: Literal["qcow2", "raw"]
    virtual_size: int
    size: int
    source: str
    imported: str
    traits: ImageTraits


def content_name(digest: str) -> str:
    """Return the name of the file of a content in the store."""
    return f"sha256-{digest}"


def digest_of(content: str) -> str | None:
    """Return the digest that a file of the store is named after, None for any other name."""
    match = _CONTENT.fullmatch(content)
    return match[1] if match else None


def require_name(name: str) -> str:
    """Return the name when an image can have it. Raises VmnetError otherwise."""
    if name in BUILT_IN:
        raise bad_input(
            f'"{name}" is the name of an image that vmnet builds',
            "give it another one: --name NAME",
        )
    if not is_name(name):
        raise bad_input(
            f'an image cannot be named "{one_line(name, 80)}"',
            f"use a-z, 0-9, . and -, a letter or digit first, at most {MOST_NAME} of them: "
            "--name NAME",
        )
    return name


def is_name(name: str) -> bool:
    """Return whether an image can have this name: it becomes part of a file's name."""
    return len(name) <= MOST_NAME and _NAME.fullmatch(name) is not None


def name_from(file_name: str) -> str:
    """Derive an image's name from that of its file; "" when nothing of it can be used."""
    stem = _SUFFIXES.sub("", file_name.lower())
    return re.sub(r"[^a-z0-9.]+", "-", stem).strip("-.")[:MOST_NAME]


def as_json(record: Stored) -> bytes:
    """Return a record as it is written to the store."""
    return _records().dump_json(record, indent=1) + b"\n"


def from_json(text: bytes) -> Stored | None:
    """Parse a record, None when it is not one."""
    try:
        return _records().validate_json(text, strict=True)
    except ValueError:
        return None


def told(text: str) -> Stored | None:
    """Parse a record that another host has written, None when no image can have it."""
    found = from_json(text.encode("utf-8", "replace"))
    if not found or not digest_of(content_name(found.digest)) or not 0 < found.size < _MOST_SIZE:
        return None
    return found if is_name(found.name) and found.name not in BUILT_IN else None


@cache
def _records() -> "TypeAdapter[Stored]":
    from pydantic import TypeAdapter

    return TypeAdapter(Stored)
