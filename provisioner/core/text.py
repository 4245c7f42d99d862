"""Foreign text made safe to show: what a guest, an image or a plan says may try to drive a terminal."""

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what steers instead of showing: controls (C0, DEL, C1), format controls
(bidi overrides, zero-width marks, byte order marks, tags), lone surrogates, line and paragraph
separators."""


def sanitize(text: str) -> str:
    r"""Give `text` with every character that steers a terminal written out, as `\x1b` or `\u202e`.

    Newlines and tabs stay. Applying it twice changes nothing more.
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def one_line(text: str, limit: int = 200) -> str:
    r"""Give `text` sanitised on one line of at most `limit` characters; newlines become `\n`."""
    line = sanitize(text).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _visible(character: str) -> str:
    if character in "\n\t" or not (hides(character)):
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def hides(character: str) -> bool:
    """Tell whether a character steers a terminal or a parser instead of showing something.

    Noncharacters (U+FFFE, U+FFFF and their like in other planes) count too: XML forbids them.
    """
    noncharacter = ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF
    return noncharacter or unicodedata.category(character) in _HIDDEN
