"""Regular expressions that are compiled when they are first used.

A command imports some hundred of them, and uses a few; one takes the library a quarter of a
millisecond. For type checkers `pattern` is `re.compile`.
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from re import compile as pattern
else:

    def pattern(text: str | bytes, flags: int = 0) -> "Uncompiled":
        """Return what has the methods of the compiled expression."""
        return Uncompiled(text, flags)


class Uncompiled:
    """A regular expression. Whoever looks for an attribute of it first has it compiled."""

    def __init__(self, text: Any, flags: int) -> None:  # noqa: ANN401
        self._made = text, flags

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(re.compile(*self._made), name)
        setattr(self, name, value)
        return value


__all__ = ["pattern"]
