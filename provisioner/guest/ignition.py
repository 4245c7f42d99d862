"""Ignition configurations, which guests of the CoreOS kind read instead of cloud-init's files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from provisioner.json_document import strict
from provisioner.pattern import pattern
from provisioner.plan.scalars import quoted
from provisioner.source_text import Source, complaint
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.errors import VmnetError

MOST_BYTES = 512 * 1024
_VERSION = pattern(r"3\.[0-9]{1,3}\.[0-9]{1,3}(-[a-z0-9.]{1,32})?")
_FIX = "make it with butane, which writes ignition: {version: 3.x.y}"


def complaints(text: str, file: str) -> list[VmnetError]:
    """Check the text of an `ignition` file; it is handed to the guest as it is, nothing is merged.

    The lines of other files than JSON are not shown: they may hold anybody's secrets.
    """
    source = Source(file, text if text.lstrip().startswith("{") else "")
    try:
        found = strict(text)
    except json.JSONDecodeError as error:
        where = source.where(error.lineno - 1, error.colno - 1)
        return [complaint(where, f"not valid JSON: {one_line(error.msg)}", _FIX)]
    except RecursionError:
        return [complaint(source.where(0, 0), "this is nested too deep", _FIX)]
    except ValueError as error:
        return [complaint(source.where(0, 0), f"not valid JSON: {one_line(str(error))}", _FIX)]
    header = found.get("ignition") if isinstance(found, dict) else None
    version = header.get("version") if isinstance(header, dict) else None
    if not isinstance(version, str):
        return [complaint(source.where(0, 0), "there is no ignition.version in here", _FIX)]
    if not _VERSION.fullmatch(version):
        at = max(0, text.find(f'"{version}"'))
        line, column = text.count("\n", 0, at), at - text.rfind("\n", 0, at) - 1
        what = f"{quoted(version)} is not a version of Ignition 3"
        return [complaint(source.where(line, column), what, _FIX)]
    return []
