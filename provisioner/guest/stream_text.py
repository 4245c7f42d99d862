"""What a guest says, made harmless while it says it: pieces of bytes in, text out."""

import codecs

from provisioner.text import sanitize


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
        """Give the next piece; with `last` also what was held back for what would follow."""
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
        lines = text.splitlines(keepends=True) if text else []
        first = self._mark if self._at_start else ""
        self._at_start = text.endswith("\n")
        return first + self._mark.join(lines)
