"""Foreign text made safe to show: text of guests, images or plans may drive a terminal."""

import unicodedata

from provisioner.pattern import pattern

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what steers instead of showing: controls (C0, DEL, C1), format controls
(bidi overrides, zero-width marks, byte order marks, tags), lone surrogates, line and paragraph
separators."""

_ESCAPES = ((0xFF, "\\x{:02x}"), (0xFFFF, "\\u{:04x}"), (0x10FFFF, "\\U{:08x}"))
_NONCHARACTERS = frozenset({0xFFFE, 0xFFFF})
_COMMAND = pattern(r"#(?=#\w{0,32}\[)")
"""What CI runners take for a command of theirs wherever it stands in a line of output: `##[error]`
(GitHub), `##vso[…]` (Azure), `##teamcity[…]`."""


def sanitize(text: str) -> str:
    r"""Return `text` with characters that steer a terminal written out, as `\x1b` or `\u202e`.

    What would steer a CI runner from within a line is broken: `##[error]` becomes `# #[error]`.
    Newlines and tabs stay. Applying it twice changes nothing more.
    """
    shown = text if text.isprintable() else "".join(map(_visible, text))
    return _COMMAND.sub("# ", shown) if "##" in shown else shown


def one_line(text: str, limit: int = 200) -> str:
    r"""Return `text` sanitised on one line of at most `limit` characters; newlines become `\n`."""
    line = sanitize(text).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def hides(character: str) -> bool:
    """Return whether a character steers a terminal or a parser instead of showing something.

    The last two of each plane count too: XML forbids U+FFFE and U+FFFF.
    """
    noncharacter = ord(character) & 0xFFFF in _NONCHARACTERS
    return noncharacter or unicodedata.category(character) in _HIDDEN


def _visible(character: str) -> str:
    if character in "\n\t" or not hides(character):
        return character
    code = ord(character)
    return next(form.format(code) for limit, form in _ESCAPES if code <= limit)


def place_of(error: UnicodeDecodeError) -> tuple[int, int]:
    """Return line and column, counted from 1 in characters, of the byte that is not UTF-8."""
    good = bytes(error.object[: error.start])
    line = good[good.rfind(b"\n") + 1 :]
    return good.count(b"\n") + 1, len(line.decode("utf-8-sig", "replace")) + 1
