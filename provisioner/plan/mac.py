"""MAC addresses as values."""

from typing import Self

from provisioner.pattern import pattern

_FORM = pattern(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class Mac(str):
    """A MAC in its one spelling, lower case with colons: equal to that text, and JSON as it is.

    Built from text in either case, with colons or dashes; raises ValueError for anything else.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Parse a MAC."""
        if type(text) is cls:
            return text
        spelt = text.lower().replace("-", ":")
        if not _FORM.fullmatch(spelt):
            raise ValueError(f"not a MAC: {text!r}")
        return super().__new__(cls, spelt)

    @classmethod
    def from_bytes(cls, packed: bytes) -> Self:
        """Return the MAC of six bytes as they stand in a frame; ValueError for another number."""
        return cls(packed.hex(":"))

    @property
    def packed(self) -> bytes:
        """The six bytes, in the order of the wire."""
        return bytes.fromhex(self.replace(":", ""))

    @property
    def is_unicast(self) -> bool:
        """Whether it can be a machine's own: its group bit is 0, and it is not all zeros."""
        return not self.packed[0] & 1 and any(self.packed)

    @property
    def is_local(self) -> bool:
        """Whether it belongs to no manufacturer: the second lowest bit of the first octet."""
        return bool(self.packed[0] & 2)


def is_mac(text: str) -> bool:
    """Return whether a text is a MAC in the one spelling of `Mac`."""
    return bool(_FORM.fullmatch(text))
