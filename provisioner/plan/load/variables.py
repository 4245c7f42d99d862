"""`${NAME}` and `${NAME:-DEFAULT}` in the values of a plan, filled in from the environment.

It is done in the tree: what a variable holds is a part of one value, never a key, a list or a line.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import field
from typing import TYPE_CHECKING

from provisioner import redaction
from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.plan.load.yaml_tree import NULLS, Mapping, Node, Scalar, Sequence
from provisioner.plan.scalars import quoted
from provisioner.source_text import complaint
from provisioner.text import hides, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Mapping as Map

    from provisioner.errors import VmnetError, Where

_MOST = 5 << 20  # characters, as many as a plan may have bytes
_VARIABLE = r"\$\{(?:(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^{}]*))?\})?"
_PART = pattern(rf"\$\$|{_VARIABLE}", re.ASCII)
_PART_OF_SECRET = pattern(rf"\$\$(?=\{{)|{_VARIABLE}", re.ASCII)  # a hash may have $$ in it
_SECRET_NAME = pattern(
    r"(?i)pass|pwd.|.pwd|secret|token|credential|(?:^|_)(?:\w*key|keys|creds?|auth|pat|pw)(?:_|$)"
)
_PUBLIC_KEY = pattern(r"(?i)(?:^|_)pub(?:lic)?_?keys?(?:_|$)|_keys?_pub$")

_Path = tuple[str | int, ...]


def literal(text: str) -> str:
    """Return how a text is written in a plan that is to hold it as it is."""
    return text.replace("$", "$$")


def kept(root: Mapping) -> Mapping:
    """Return a copy of a tree that is as this one is when its variables are filled in."""
    copy = deepcopy(root)
    for path, scalar in _scalars(copy, ()):
        if "$" in scalar.text and not _is_for_guest(path, scalar.text):
            is_secret = redaction.is_secret(str(path[-1]))
            scalar.text = scalar.text.replace("${", "$${") if is_secret else literal(scalar.text)
    return copy


def fill(root: Mapping, environment: Map[str, str]) -> tuple[dict[str, Where], list[VmnetError]]:
    """Fill in the variables of a tree.

    Return where those stand that the environment has a value for, and what is wrong with any.
    """
    filling = _Filling(environment)
    for path, scalar in _scalars(root, ()):
        if "$" in scalar.text and not _is_for_guest(path, scalar.text):
            filling.fill(path, scalar)
        if filling.left < 0:
            break
    return filling.used, filling.complaints


def _scalars(node: Node, path: _Path) -> Iterator[tuple[_Path, Scalar]]:
    match node:
        case Scalar():
            yield path, node
        case Sequence():
            for at, item in enumerate(node.items):
                yield from _scalars(item, (*path, at))
        case Mapping():
            for key, value in node.items.items():
                yield from _scalars(value, (*path, key))


def _is_for_guest(path: _Path, text: str) -> bool:
    """Return whether a text is for a guest's shell or file, where a `$` is the guest's own."""
    match path:
        case ("vms", _, "run", *_) | ("defaults", "run", *_):
            return True
        case ("vms", _, "files", *_, "content"):
            return True
        case ("vms", _, "ready", *_) | ("defaults", "ready", *_):
            return text.lstrip().startswith("command ")
        case _:
            return False


@dataclass(slots=True)
class _Filling:
    environment: Map[str, str]
    used: dict[str, Where] = field(default_factory=dict)
    complaints: list[VmnetError] = field(default_factory=list)
    left: int = _MOST

    def fill(self, path: _Path, scalar: Scalar) -> None:
        """Fill in the variables of one value, if all of them can be."""
        is_secret = redaction.is_secret(str(path[-1]))
        found = list((_PART_OF_SECRET if is_secret else _PART).finditer(scalar.text))
        parts, at = list[str](), 0
        for one in found:
            value = self._value(one, scalar.where, hashed=path[0] == "vms" and path[2:] == _HASHED)
            if value is None:
                return
            parts += scalar.text[at : one.start()], value
            at = one.end()
            self.left -= len(value)
            if self.left < 0:
                self._complain(scalar.where, *_TOO_LONG)
                return
        text = "".join((*parts, scalar.text[at:]))
        alone = len(found) == 1 and found[0].group() == scalar.text
        scalar.text = "" if alone and scalar.is_plain and text in NULLS else text

    def _value(self, found: re.Match[str], where: Where, *, hashed: bool) -> str | None:
        name, default = found["name"], found["default"]
        if found.group() == "$$":
            return "$"
        if not name:
            self._complain(where, *_MALFORMED)
            return None
        if _is_secret(name) and not hashed:
            self._complain(
                where,
                f"the variable {name} looks like a secret, and guests could read it here",
                "only password takes it; if the guests may have it, pass it under another name",
            )
            return None
        value = self.environment.get(name, "")
        if not value and default is not None:
            return default
        if name not in self.environment:
            self._complain(
                where,
                f"the variable {name} is not set",
                f"set {name} (through sudo: --preserve-env={name}), or write ${{{name}:-VALUE}}",
            )
            return None
        self.used.setdefault(name, where)
        return value if self._is_text(name, value, where) else None

    def _is_text(self, name: str, value: str, where: Where) -> bool:
        for character in value:
            if character not in "\n\t" and hides(character):
                what = f"the variable {name} holds the character {one_line(character)}"
                self._complain(where, what, "set it to plain text")
                return False
        return True

    def _complain(self, where: Where, what: str, fix: str) -> None:
        self.complaints.append(complaint(where, what, fix))


_HASHED: _Path = ("password",)
"""The key of a VM whose value guests get as a hash only."""
_MALFORMED = (
    f"{quoted('${')} begins no variable here",
    "write ${NAME} or ${NAME:-VALUE}; $${ stands for ${ itself",
)
_TOO_LONG = (
    "with its variables filled in the plan is larger than 5 MiB",
    "a plan is a page of text: set them to less",
)


def _is_secret(name: str) -> bool:
    """Return whether a variable is a secret by its name."""
    return _SECRET_NAME.search(_PUBLIC_KEY.sub("", name)) is not None
