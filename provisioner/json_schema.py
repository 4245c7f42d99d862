"""The JSON Schema of what vmnet writes, made from the types of the values that it writes.

A document is a TypedDict, or a data class that is written as it is. So the type checker holds what
is written to the type, and the schema is made from the same type: the two cannot drift.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

Json = dict[str, Any]

_PLAIN: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    NoneType: "null",
}
_ORDERED: Final = (list, tuple, Sequence)


def document_schema(name: str, title: str, envelope: type, kinds: Iterable[type]) -> Json:
    """Return the JSON Schema (draft 2020-12) of documents that are one of `kinds` in an envelope.

    `name` ends the schema's identifier. Raises TypeError for a type that has no form in JSON.
    """
    parts: dict[str, Json] = {}
    whole = [_keys(parts, kind, envelope) for kind in kinds]
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:vmnet:schema:{name.replace(' ', '-')}",
        "title": title,
    }
    found = whole[0] if len(whole) == 1 else {"anyOf": whole}
    return {**about, **found, **({"$defs": parts} if parts else {})}


def _of(parts: dict[str, Json], kind: Any) -> Json:  # noqa: ANN401  (a type, or what typing makes)
    """Return the form of values of a type; those of several keys go into `parts`."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return {**_of(parts, inner[0]), "description": str(inner[1])}
    if origin is NotRequired:
        return _of(parts, inner[0])
    if origin is Literal:
        return {"enum": list(inner)}
    return _of_several(parts, origin, inner) if inner else _of_class(parts, kind)


def _of_several(parts: dict[str, Json], origin: Any, inner: Sequence[Any]) -> Json:  # noqa: ANN401
    """Return the form of one of several types, or of several values of a type."""
    if origin in {Union, UnionType}:
        return _either([_of(parts, one) for one in inner])
    if origin in _ORDERED:
        return {"type": "array", "items": _of(parts, inner[0])}
    if origin in {dict, Mapping}:
        return {"type": "object", "additionalProperties": _of(parts, inner[1])}
    raise TypeError(f"{origin} has no form in JSON")


def _of_class(parts: dict[str, Json], kind: type) -> Json:
    if is_typeddict(kind) or dataclasses.is_dataclass(kind):
        if kind.__name__ not in parts:
            parts[kind.__name__] = {}  # taken: it may be met inside itself
            parts[kind.__name__] = _keys(parts, kind)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if issubclass(kind, Enum):
        return {"enum": [one.value for one in kind]}
    for plain, name in _PLAIN.items():
        if issubclass(kind, plain):
            return {"type": name}
    raise TypeError(f"{kind} has no form in JSON")


def _keys(parts: dict[str, Json], *kinds: type) -> Json:
    """Return the form of an object with the keys of these types; what it has besides is ignored."""
    properties: Json = {}
    required: list[str] = []
    for kind in reversed(kinds):
        for key, value in get_type_hints(kind, include_extras=True).items():
            properties[key] = _of(parts, value)
            if key in getattr(kind, "__required_keys__", (key,)):
                required.append(key)
    about = (kinds[0].__doc__ or "").strip().partition("\n")[0]
    return {
        "description": about,
        "type": "object",
        "required": required,
        "properties": properties,
    }


def _either(forms: list[Json]) -> Json:
    """Return the form of a value of one of several forms, in one word where JSON Schema has it."""
    if all(set(form) == {"type"} for form in forms):
        return {"type": [form["type"] for form in forms]}
    return {"anyOf": forms}
