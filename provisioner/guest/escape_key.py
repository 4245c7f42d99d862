"""The key that leaves a console, as people write it."""

from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.text import one_line

NONE: Final = "none"
_PAIR: Final = 2


def byte_of(words: str) -> bytes:
    r"""Give what a terminal sends for `^]`, `^a` …; nothing for "none".

    Raises VmnetError for another word, and for keys that a console cannot do without.
    """
    if words == NONE:
        return b""
    key = words[1:].upper() if len(words) == _PAIR and words[0] == "^" else ""
    if not key or not "A" <= key <= "_" or key in "CDHIJMQS[":
        raise VmnetError(
            f'"{one_line(words, 40)}" is not a key that can leave a console',
            fix="write ^ and a letter or one of \\ ] ^ _, as in ^]; none for no key at all",
            status=Exit.BAD_INPUT,
        )
    return bytes([ord(key) ^ 0x40])
