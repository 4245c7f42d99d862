"""The envelope of every JSON document that vmnet prints."""

from __future__ import annotations

from provisioner.text import sanitize

FORMAT = 1  # of the JSON; changes only when a reader of the old one would be misled


def _clean(value: object) -> object:
    match value:
        case str():
            return sanitize(value)
        case dict():
            return {sanitize(str(k)): _clean(v) for k, v in value.items()}
        case list() | tuple():
            return [_clean(v) for v in value]
        case _:
            return value
