"""`dataclass(frozen=True, slots=True)`, with methods that are made when they are first needed.

The standard library compiles six methods of each data class while it is defined, which takes
0.65 ms; vmnet has 270 of them, and a command makes instances of few. So the class is defined
without them, and the library makes them at the first instance. For type checkers it is the
library's own decorator.
"""

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as dataclass  # noqa: PLC0414  (for other modules)
else:

    def dataclass(**options: object) -> object:
        """Return the decorator; for other options than frozen and slots that of the library."""
        if options == {"frozen": True, "slots": True}:
            return _deferred
        return dataclasses.dataclass(**options)


T = TypeVar("T")

_METHODS: Final = ("__init__", "__repr__", "__eq__", "__hash__")
_FIELD: Final = ("init", "repr", "hash", "compare", "metadata", "kw_only")
_define: Final = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)


def _deferred(cls: type[T]) -> type[T]:
    missing = [name for name in _METHODS if name not in cls.__dict__]
    if not cls.__doc__:
        cls.__doc__ = cls.__name__  # the library would make a signature
    made: Any = _define(cls)
    for name in missing:
        setattr(made, name, _stub(made, name, missing))
    made.__setattr__ = made.__delattr__ = _refuse
    if "__getstate__" not in cls.__dict__:
        made.__getstate__, made.__setstate__ = _state, _take_state
    return made  # type: ignore[no-any-return]


def _stub(made: Any, name: str, missing: list[str]) -> "Callable[..., Any]":  # noqa: ANN401
    def method(self: object, *args: object, **words: object) -> object:
        _complete(made, missing)
        return made.__dict__[name](self, *args, **words)

    return method


def _complete(made: Any, missing: list[str]) -> None:  # noqa: ANN401
    """Give a class its methods, those of a class with the same fields."""
    fields = dataclasses.fields(made)
    body: dict[str, Any] = {"__annotations__": {}, "__doc__": made.__doc__}
    for field in fields:
        body["__annotations__"][field.name] = field.type
        body[field.name] = _copied(field)
    if hasattr(made, "__post_init__"):
        body["__post_init__"] = made.__post_init__
    whole: Any = dataclasses.dataclass(frozen=True)(type(made.__name__, (), body))
    for name in missing:
        setattr(made, name, whole.__dict__[name])


def _copied(field: "dataclasses.Field[Any]") -> Any:  # noqa: ANN401
    options = {name: getattr(field, name) for name in _FIELD}
    if field.default_factory is not dataclasses.MISSING:
        options["default_factory"] = field.default_factory
    elif field.default is not dataclasses.MISSING:
        options["default"] = field.default
    return dataclasses.field(**options)


def _refuse(self: object, name: str, *_: object) -> None:
    raise dataclasses.FrozenInstanceError(f"{type(self).__name__}.{name} cannot be changed")


def _state(self: Any) -> list[Any]:  # noqa: ANN401
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _take_state(self: Any, state: list[Any]) -> None:  # noqa: ANN401
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
