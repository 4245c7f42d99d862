"""The output of `vmnet image`: the images there are, as a table and as JSON."""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

from provisioner.dataclass import dataclass
from provisioner.errors import Exit
from provisioner.image.record import Stored
from provisioner.image.traits import FirmwareName
from provisioner.json_document import json_document
from provisioner.text import one_line

_DIGITS = 12
_TITLES = ("image", "state", "format", "disk", "file", "SHA-256", "boots", "user", "in use by")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Row:
    """One image: its name, where it stands, its record if it is in a store, the plans that use it.

    `state` is "stored", "root's" (in root's store, for everybody), "built", "not built" or
    "can be pulled".
    """

    name: str
    state: str
    record: Stored | None = None
    plans: tuple[str, ...] = ()


class ImageValue(TypedDict):
    """One image; all but its name and state of those in a store alone."""

    name: str
    state: str
    image_format: NotRequired[Literal["qcow2", "raw"]]
    sha256: NotRequired[str]
    virtual_size: NotRequired[int]
    size: NotRequired[int]
    source: NotRequired[str]
    imported: NotRequired[str]
    boot: NotRequired[Sequence[FirmwareName]]
    user: NotRequired[str]
    min_memory_mib: NotRequired[int]
    agent: NotRequired[bool]
    cloud_init: NotRequired[bool]
    plans: NotRequired[Sequence[str]]


class ImagesDocument(TypedDict):
    """The images of this host, and those that can be pulled; sizes are in bytes."""

    images: list[ImageValue]


def size(octets: int) -> str:
    """Return a number of bytes for people."""
    unit = min(max(octets.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{octets / (1 << 10 * unit):.1f} {_UNITS[unit]}" if unit else f"{octets} B"


def as_rows(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the titles of a table of the images, and its cells, row by row."""
    return [_TITLES, *(_cells(row) for row in rows)]


def as_json(rows: Sequence[Row]) -> str:
    """Return the images as JSON."""
    return json_document(
        "image ls", Exit.DONE, ImagesDocument(images=[_value(row) for row in rows])
    )


def summary(record: Stored) -> str:
    """Return in one line what was stored."""
    return (
        f"{record.name}: {record.format}, a disk of {size(record.virtual_size)} in "
        f"{size(record.size)}, SHA-256 {record.digest}"
    )


def _cells(row: Row) -> tuple[str, ...]:
    record = row.record
    if record is None:
        return (one_line(row.name, 63), row.state, *["-"] * (len(_TITLES) - 2))
    return (
        record.name,
        row.state,
        record.format,
        size(record.virtual_size),
        size(record.size),
        record.digest[:_DIGITS],
        ",".join(record.traits.boot),
        one_line(record.traits.user, 32) or "-",
        ",".join(row.plans) or "-",
    )


def _value(row: Row) -> ImageValue:
    if (record := row.record) is None:
        return {"name": row.name, "state": row.state}
    traits = record.traits
    return {
        "name": row.name,
        "state": row.state,
        "image_format": record.format,
        "sha256": record.digest,
        "virtual_size": record.virtual_size,
        "size": record.size,
        "source": record.source,
        "imported": record.imported,
        "boot": list(traits.boot),
        "user": traits.user,
        "min_memory_mib": traits.min_memory_mib,
        "agent": traits.agent,
        "cloud_init": traits.cloud_init,
        "plans": list(row.plans),
    }
