"""What the files that a plan names hold, read before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Own:
    """User-data of the user's own: `kind` is cloud-init's, the subtype of its text/… in MIME.

    `config` is what a `cloud-config` says; None for every other kind.
    """

    kind: str
    text: str = field(repr=False)
    config: Mapping[str, object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Texts:
    """Files by the path as the plan writes it, and the hashes of passwords in the clear, by VM."""

    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    own: Mapping[str, Own] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict, repr=False)
