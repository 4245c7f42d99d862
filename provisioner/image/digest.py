"""Digests, and the lists of them that vendors publish: read strictly, or refused."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.pattern import pattern
from provisioner.plan.scalars import quoted
from provisioner.text import hides, one_line

LENGTHS: Final = {"sha256": 64, "sha512": 128}
"""The algorithms that prove an image, and how many hexadecimal digits each has."""

_MOST_LINES = 20_000
_BEGIN = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_END = "-----END PGP SIGNATURE-----"
_COREUTILS = pattern(r"([0-9A-Fa-f]+) [ *](.+)")
_BSD = pattern(r"([A-Z0-9-]+) \((.+)\) = ([0-9A-Fa-f]+)")
_BARE = pattern(r"[0-9A-Fa-f]+")
# Vendors list these beside the ones above; they prove nothing any more, or nobody needs them.
_IGNORED = {"MD5": 32, "SHA1": 40, "SHA224": 56, "SHA384": 96}
_FIX = "write sha256: and 64 hexadecimal digits, or sha512: and 128"


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest that proves a file: sha256 or sha512, its hexadecimal digits in lower case."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        """Return the form that people write and paste: sha256:HEX."""
        return f"{self.algorithm}:{self.hex}"


class Form(StrEnum):
    """How a vendor's list names the file that a digest is of."""

    NAMED = "named"  # by the file's name, one line per file
    SOLE = "sole"  # the list is of one file, and may call it by another (dated) name
    BARE = "bare"  # nothing but the hexadecimal digits


def digest(text: str) -> Digest:
    """Parse `sha256:HEX`, `sha512:HEX` or the digits alone, whose number determines the algorithm.

    Raises VmnetError, status BAD_INPUT, for anything else.
    """
    algorithm, colon, digits = text.strip().rpartition(":")
    algorithm = algorithm.lower()
    if not _BARE.fullmatch(digits):
        raise bad_input(f"{quoted(text)} is not a digest", _FIX)
    if colon and algorithm not in LENGTHS:
        raise bad_input(f"{quoted(algorithm)} does not prove an image", _FIX)
    known = by_length(digits)
    if known is None or (colon and known.algorithm != algorithm):
        wanted = f"{LENGTHS[algorithm]}" if colon else "64 or 128"
        raise bad_input(f"the digest {quoted(text)} has {len(digits)} digits, not {wanted}", _FIX)
    return known


def sha256(digits: str) -> Digest:
    """Parse the digits of a SHA-256, "sha256:" in front or not.

    Raises VmnetError, status BAD_INPUT, for anything else.
    """
    text = f"sha256:{digits.strip().lower().removeprefix('sha256:')}"
    try:
        return digest(text)
    except VmnetError as error:
        raise bad_input(
            f'"{one_line(text, 150)}" is not a SHA-256',
            "copy the 64 hexadecimal digits from the vendor's list of digests",
        ) from error


def by_length(digits: str) -> Digest | None:
    """Return the digest of these hexadecimal digits, or None if no algorithm has so many."""
    named = (name for name, length in LENGTHS.items() if len(digits) == length)
    return next((Digest(name, digits.lower()) for name in named), None)


def listed(text: str, name: str, *, form: Form, list_name: str) -> Digest:
    """Return the digest of the file `name` in a vendor's list; messages name `list_name`.

    Takes `HEX  name`, `HEX *name`, `SHA256 (name) = HEX` and bare digits, in clear-signed armour
    or without; armour is only taken off here, signatures are checked elsewhere. Raises VmnetError,
    status BAD_INPUT, when a line is not one of these, a name leads out of its folder, one name has
    two digests, or the file is not there.
    """
    try:
        return _listed(text, name, form)
    except _BadListError as error:
        raise bad_input(
            f"the digest list {list_name} {error}",
            "look at the list in a browser; if it is the vendor's, give the digest yourself: "
            "SOURCE@sha256:HEX",
        ) from error


class _BadListError(Exception):
    """What is wrong with a list, without its name."""


def _listed(text: str, name: str, form: Form) -> Digest:
    entries = [entry for line in _lines(text) if (entry := _entry(line))]
    match form:
        case Form.NAMED:
            found = [one for of, one in entries if of == name]
        case Form.SOLE:
            found = [one for of, one in entries if of]
            if len({of for of, _ in entries}) > 1:
                raise _BadListError("names several files where one was expected")
        case _:
            found = [one for of, one in entries if not of]
    for algorithm in LENGTHS:
        if len({one for one in found if one.algorithm == algorithm}) > 1:
            raise _BadListError(f"gives two different {algorithm} digests for {quoted(name)}")
    if not found:
        raise _BadListError(f"has no sha256 or sha512 digest of {quoted(name)}")
    return max(found, key=lambda one: LENGTHS[one.algorithm])


def _lines(text: str) -> Iterator[str]:
    """Return the lines that hold something, out of their armour, without comments."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if len(lines) > _MOST_LINES:
        raise _BadListError(f"has more than {_MOST_LINES} lines")
    for line in _unarmoured(lines):
        if any(hides(character) for character in line):
            raise _BadListError(f"holds the invisible characters {one_line(line, 60)}")
        if line and not line.startswith("#"):
            yield line


def _unarmoured(lines: list[str]) -> Iterator[str]:
    """Take off the armour of RFC 4880, 7; what stands outside of it was not signed."""
    if _BEGIN not in lines:
        if any(line.startswith("-----BEGIN PGP") for line in lines):
            raise _BadListError("has a signature but no signed part")
        yield from lines
        return
    begin = lines.index(_BEGIN)
    try:
        blank = lines.index("", begin)
        signature = lines.index(_SIGNATURE, blank)
        end = lines.index(_END, signature)
    except ValueError:
        raise _BadListError("breaks off inside its signature") from None
    if any(lines[:begin]) or any(lines[end + 1 :]):
        raise _BadListError("has text outside of its signed part")
    if any(not line.startswith("Hash: ") for line in lines[begin + 1 : blank]):
        raise _BadListError("has headers in its armour that do not belong there")
    yield from (line.removeprefix("- ") for line in lines[blank + 1 : signature])


def _entry(line: str) -> tuple[str, Digest] | None:
    """Parse one line: the file's name, or none, and its digest; None for a weaker algorithm."""
    algorithm, name = "", ""
    if bsd := _BSD.fullmatch(line):
        algorithm, name, digits = bsd.groups()
        if _IGNORED.get(algorithm) == len(digits):
            return None
    elif named := _COREUTILS.fullmatch(line):
        digits, name = named.groups()
    elif _BARE.fullmatch(line):
        digits = line
    else:
        raise _BadListError(f"has a line that is not a digest: {one_line(line, 60)}")
    found = by_length(digits)
    if found is None or algorithm not in {"", found.algorithm.upper()}:
        raise _BadListError(f"has a digest of the wrong length: {one_line(line, 60)}")
    name = name.removeprefix("./")
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise _BadListError(f"names a file outside of its folder: {quoted(name)}")
    return name, found
