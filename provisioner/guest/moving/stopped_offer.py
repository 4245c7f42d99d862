"""What a host tells another of a guest that it would give it, with its files, while it is stopped.

Whoever receives it believes no more of it than of a plan: each value is judged before it is used.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.guest.moving.offer import KEYS, Keys, document, unusable
from provisioner.json_document import strict
from provisioner.pattern import pattern
from provisioner.plan.scalars import is_vm_name
from provisioner.text import one_line

PROTOCOL: Final = 2
_HOW: Final = "stopped"
_PLACE: Final = pattern(r"disk/[a-z0-9-]+(\.[0-9]{1,4})?\.qcow2|boot/[a-z0-9-]+\.nvram")
_DIGEST: Final = pattern(r"[0-9a-f]{64}|")
_MOST: Final = 1000
_MOST_BYTES: Final = 1 << 50


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """A file of a guest: its place in the plan's folder, and its size in bytes.

    `sha256` is "" while the guest may still write to it, `backing` is the image's file below it.
    """

    place: str
    size: int
    sha256: str = ""
    backing: str = ""


@dataclass(frozen=True, slots=True)
class StoppedOffer:
    """A guest, the plan that the other host has it in, its keys, and its files as they are now."""

    vm: str
    plan: str
    keys: Keys
    files: tuple[OfferedFile, ...] = ()


def is_of_stopped(line: str) -> bool:
    """Return whether a line offers a guest that is stopped for it."""
    try:
        found = strict(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("how") == _HOW


def as_line(offer: StoppedOffer) -> str:
    """Return an offer as one line, for the standard input of `vmnet receive`."""
    keys = dict(zip(KEYS, asdict(offer.keys).values(), strict=True))
    own = {"protocol": PROTOCOL, "how": _HOW, "vm": offer.vm, "plan": offer.plan}
    return json.dumps({**own, **keys, "files": listed(offer.files)})


def listed(files: Iterable[OfferedFile]) -> list[dict[str, object]]:
    """Return files as JSON has them."""
    return [asdict(file) for file in files]


def from_line(line: str) -> StoppedOffer:
    """Read an offer. Raises VmnetError when it is none, or one of another protocol."""
    found = document(line)
    if found.get("protocol") != PROTOCOL:
        raise VmnetError(
            f"the other host offers by protocol {one_line(str(found.get('protocol')), 20)}, and "
            f"this one knows {PROTOCOL}",
            fix="install the same version of vmnet on both hosts",
        )
    texts = [found.get(name) for name in ("vm", "plan", *KEYS)]
    if not all(isinstance(text, str) for text in texts):
        raise unusable("a value of it is no text")
    vm, plan, *keys = map(str, texts)
    if not is_vm_name(vm):
        raise unusable("it is of no VM")
    return StoppedOffer(vm, plan, Keys(*keys), files_in(found))


def files_in(found: Mapping[str, Any]) -> tuple[OfferedFile, ...]:
    """Read the files of a line. Raises VmnetError when they are none."""
    files = found.get("files")
    if not isinstance(files, list) or len(files) > _MOST:
        raise unusable("it lists no files")
    made = tuple(map(_file, files))
    if len({file.place for file in made}) != len(made):
        raise unusable("it has a file twice")
    return made


def _file(value: object) -> OfferedFile:
    known = value if isinstance(value, dict) else {}
    place, sha256, backing = (known.get(x) for x in ("place", "sha256", "backing"))
    size = known.get("size")
    if not (isinstance(place, str) and isinstance(sha256, str) and isinstance(backing, str)):
        raise unusable("a file of it has no place")
    if not _PLACE.fullmatch(place) or not _DIGEST.fullmatch(sha256):
        raise unusable(f"{one_line(place, 80)} is no file of a guest")
    if type(size) is not int or not 0 <= size <= _MOST_BYTES:
        raise unusable(f"{one_line(place, 80)} has no size")
    return OfferedFile(place, size, sha256, backing)
