"""Names as Kubernetes and Incus take them: RFC 1123, 63 characters at most."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from provisioner import naming
from provisioner.pattern import pattern

_MOST: Final = 63
_KEPT: Final = 52  # characters of a name that is too long; a digest of the whole follows
_UNFIT: Final = pattern(r"[^a-z0-9-]")

_T = TypeVar("_T")


def label(*parts: str) -> str:
    """Return a DNS label of these parts, joined by hyphens: what is too long ends in a digest."""
    fit = (_UNFIT.sub("-", part.lower()).strip("-") for part in parts)
    text = "-".join(part for part in fit if part)
    return text if len(text) <= _MOST else _with_digest(text, parts)


def labels(named: Mapping[_T, tuple[str, ...]]) -> dict[_T, str]:
    """Return a label for each of these, no two alike: a later one ends in a digest, if need be."""
    found: dict[_T, str] = {}
    for one, parts in named.items():
        text = label(*parts)
        found[one] = _with_digest(text, parts) if text in found.values() else text
    return found


def _with_digest(text: str, parts: Iterable[str]) -> str:
    return f"{text[:_KEPT].rstrip('-')}-{naming.digest(*parts)}"
