"""What the command line that libvirt starts a QEMU with tells about its guest."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from provisioner import naming


def vm_of(plan: str, argv: Sequence[str]) -> str:
    """Return which VM of a plan a QEMU is: proved by its name and its UUID; "" for none."""
    prefix = f"guest={plan}-"
    for name in _values(argv, "-name"):
        vm = name.split(",")[0].removeprefix(prefix)
        if name.startswith(prefix) and naming.domain_uuid(plan, vm) in _values(argv, "-uuid"):
            return vm
    return ""


def folder(argv: Sequence[str]) -> str:
    """Return the folder of the libvirt that started a QEMU; "" when that is not known.

    Each domain has a folder of its own there, and its key in it.
    """
    for found in _objects(argv, "-object"):
        if found.get("id") == "masterKey0":
            return str(found.get("file", "")).rpartition("/domain-")[0]
    return ""


def writes(argv: Sequence[str]) -> bool:
    """Return whether a QEMU's guest has a disk that it can write to."""
    nodes = [x for x in _objects(argv, "-blockdev") if "file" in x]  # each layer over a file
    return any(not node.get("read-only", False) for node in nodes)


def _values(argv: Sequence[str], option: str) -> list[str]:
    return [value for word, value in pairwise(argv) if word == option]


def _objects(argv: Sequence[str], option: str) -> Iterator[dict[str, Any]]:
    for text in _values(argv, option):
        try:
            found = json.loads(text)
        except ValueError:
            continue  # of a libvirt that writes no JSON there
        if isinstance(found, dict):
            yield found
