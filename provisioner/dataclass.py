"""`dataclass(frozen=True, slots=True)` and `dataclass(slots=True)` that cost little to define.

The standard library compiles six methods of each data class while it is defined, and looks at each
field: some 0.4 ms. vmnet has 370 of them, and a command makes instances of few. So `__init__` is
compiled at the first instance, the other methods are common to all classes, and the library's
description of the fields is made for whoever asks. For type checkers it is the library's decorator.
Of the options of a field `init` is not known: vmnet has no use for it.
"""

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as dataclass  # noqa: PLC0414  (for other modules)
else:

    def dataclass(cls: type | None = None, /, **options: object) -> object:
        """Return the decorator; for other options than frozen and slots that of the library."""
        if options == {"frozen": True, "slots": True}:
            return _frozen
        if options == {"slots": True}:
            return _changeable
        return dataclasses.dataclass(cls, **options)


T = TypeVar("T")

_METHODS: Final = ("__init__", "__repr__", "__eq__", "__hash__")
_CLASS_VARIABLE: Final = ("ClassVar", "typing.ClassVar")
_MISSING: Final = dataclasses.MISSING


@dataclasses.dataclass(init=False, repr=False, eq=False)
class _Sample:
    """A class that the library has made: its parameters are those of all others."""


def _frozen(cls: type[T]) -> type[T]:
    has_state = "__getstate__" in cls.__dict__
    made = _defined(cls, [name for name in _METHODS if name not in cls.__dict__])
    made.__setattr__ = made.__delattr__ = _refuse
    if not has_state:
        made.__getstate__, made.__setstate__ = _state, _take_state
    return made  # type: ignore[no-any-return]


def _changeable(cls: type[T]) -> type[T]:
    made = _defined(cls, [name for name in _METHODS[:-1] if name not in cls.__dict__])
    if "__hash__" not in cls.__dict__:
        made.__hash__ = None
    return made  # type: ignore[no-any-return]


def _defined(cls: type, missing: list[str]) -> Any:  # noqa: ANN401
    """Return the class with slots, and with stubs of the methods that it has not itself."""
    body = dict(cls.__dict__)
    kinds = body.get("__annotations__", {})
    names = [name for name, kind in kinds.items() if not _is_of_class(kind)]
    given = {name: body.pop(name) for name in names if name in body}
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    inherited = {name for base in cls.__mro__ for name in getattr(base, "__slots__", ())}
    body["__slots__"] = tuple(name for name in names if name not in inherited)
    named = [x for x in names if getattr(given.get(x), "kw_only", None) is not True]
    body["__match_args__"] = tuple(dict.fromkeys((*getattr(cls, "__match_args__", ()), *named)))
    body["__dataclass_params__"] = _Sample.__dataclass_params__  # type: ignore[attr-defined]
    body["__dataclass_fields__"] = _Fields(names, kinds, given)
    made: Any = type(cls)(cls.__name__, cls.__bases__, body)
    for name in missing:
        setattr(made, name, _stub(made, name, missing))
    return made


def _is_of_class(kind: object) -> bool:
    return (kind if isinstance(kind, str) else repr(kind)).startswith(_CLASS_VARIABLE)


class _Fields:
    """`__dataclass_fields__` of a class, which the library makes when it is asked for."""

    def __init__(self, names: list[str], kinds: dict[str, Any], given: dict[str, Any]) -> None:
        self._body = {**given, "__annotations__": {name: kinds[name] for name in names}}
        self._owner: Any = None

    def __set_name__(self, owner: type, _: str) -> None:
        self._owner = owner

    def __get__(self, _: object, cls: type) -> dict[str, "dataclasses.Field[Any]"]:
        fields: dict[str, dataclasses.Field[Any]] = {}
        for base in reversed(self._owner.__mro__[1:]):
            fields |= getattr(base, "__dataclass_fields__", {})
        own = {**self._body, "__doc__": "Fields.", "__module__": self._owner.__module__}
        like: Any = type(self._owner.__name__, (), own)
        library = dataclasses.dataclass(init=False, repr=False, eq=False)
        fields |= library(like).__dataclass_fields__
        self._owner.__dataclass_fields__ = fields
        return fields


def _stub(made: Any, name: str, missing: list[str]) -> "Callable[..., Any]":  # noqa: ANN401
    def method(self: object, *args: object, **words: object) -> object:
        _complete(made, missing)
        return made.__dict__[name](self, *args, **words)

    return method


def _complete(made: Any, missing: list[str]) -> None:  # noqa: ANN401
    """Give a class its methods, which do what those of the library do."""
    fields = dataclasses.fields(made)
    values = _getter([field.name for field in fields if field.compare])
    shown = [field.name for field in fields if field.repr]

    def of_text(self: Any) -> str:  # noqa: ANN401
        inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({inner})"

    def is_equal(self: object, other: object) -> object:
        if other.__class__ is self.__class__:
            return values(self) == values(other)
        return NotImplemented

    def hashed(self: object) -> int:
        return hash(values(self))

    made_by = {"__repr__": of_text, "__eq__": is_equal, "__hash__": hashed}
    for name in missing:
        setattr(made, name, made_by[name] if name in made_by else _initializer(made, fields))


def _getter(names: list[str]) -> "Callable[[object], object]":
    return attrgetter(*names) if names else lambda _: ()


def _initializer(made: Any, fields: "tuple[dataclasses.Field[Any], ...]") -> Any:  # noqa: ANN401
    """Compile `__init__`, which writes into the slots and so needs no right to set attributes."""
    scope: dict[str, Any] = {"_MISSING": _MISSING}
    parameters = [_parameter(field, scope) for field in fields if not field.kw_only]
    by_name = [_parameter(field, scope) for field in fields if field.kw_only]
    parameters += ["*", *by_name] if by_name else []
    lines = [_assignment(made, field, scope) for field in fields]
    lines += ["self.__post_init__()"] if hasattr(made, "__post_init__") else []
    head = f"def __init__({', '.join(['self', *parameters])}):"
    exec("\n ".join([head, *(lines or ["pass"])]), scope)  # noqa: S102  (as the library does)
    scope["__init__"].__qualname__ = f"{made.__qualname__}.__init__"
    return scope["__init__"]


def _parameter(field: "dataclasses.Field[Any]", scope: dict[str, Any]) -> str:
    if field.default is not _MISSING:
        scope[f"_d_{field.name}"] = field.default
        return f"{field.name}=_d_{field.name}"
    return field.name if field.default_factory is _MISSING else f"{field.name}=_MISSING"


def _assignment(made: Any, field: "dataclasses.Field[Any]", scope: dict[str, Any]) -> str:  # noqa: ANN401
    name = field.name
    scope[f"_s_{name}"] = getattr(made, name).__set__
    value = name
    if field.default_factory is not _MISSING:
        scope[f"_f_{name}"] = field.default_factory
        value = f"_f_{name}() if {name} is _MISSING else {name}"
    return f"_s_{name}(self, {value})"


def _refuse(self: object, name: str, *_: object) -> None:
    raise dataclasses.FrozenInstanceError(f"{type(self).__name__}.{name} cannot be changed")


def _state(self: Any) -> list[Any]:  # noqa: ANN401
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _take_state(self: Any, state: list[Any]) -> None:  # noqa: ANN401
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
