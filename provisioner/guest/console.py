"""Console text made harmless as it comes, and the key that leaves a console."""

import codecs
from typing import Final

from provisioner.errors import bad_input
from provisioner.text import one_line, sanitize

NO_KEY: Final = "none"


class Harmless:
    r"""Turn bytes into sanitised text, piece by piece; `\r\n` and `\r` are ends of lines.

    With `mark` each line begins with it: a CI runner takes some lines for commands to itself.
    """

    def __init__(self, mark: str = "") -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._mark = mark
        self._after_return = False
        self._at_start = True

    def text(self, data: bytes, *, last: bool = False) -> str:
        """Return the next piece; with `last` also what was held back for what would follow."""
        text = self._decode(data, last)
        if text:
            ends_with_return = text[-1] == "\r"
            if self._after_return:
                text = text.removeprefix("\n")  # the rest of a line end that was already returned
            self._after_return = ends_with_return
        return self._marked(sanitize(text.replace("\r\n", "\n").replace("\r", "\n")))

    def _marked(self, text: str) -> str:
        if not self._mark or not text:
            return text
        lines = text.splitlines(keepends=True)
        first = self._mark if self._at_start else ""
        self._at_start = text.endswith("\n")
        return first + self._mark.join(lines)


def escape_byte(name: str) -> bytes:
    r"""Return what a terminal sends for `^]`, `^a` …; nothing for "none".

    Raises VmnetError for another word, and for keys that a console cannot do without.
    """
    if name == NO_KEY:
        return b""
    key = name.removeprefix("^").upper() if name[:1] == "^" and len(name) == 2 else ""  # noqa: PLR2004
    if not key or not "A" <= key <= "_" or key in "CDHIJMQS[":
        raise bad_input(
            f'"{one_line(name, 40)}" is not a key that can leave a console',
            "write ^ and a letter or one of \\ ] ^ _, as in ^]; none for no key at all",
        )
    return bytes([ord(key) ^ 0x40])
