"""Signatures of digest lists: gpgv against one keyring of the vendor, and no other."""

import base64
import binascii
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.host.system import programs
from provisioner.text import one_line

FOLDERS: Final = (
    Path("/usr/share/keyrings"),
    Path("/etc/apt/keyrings"),
    Path("/usr/local/share/keyrings"),
)
"""Where Debian's packages, and administrators, put keyrings."""

_TIMEOUT_S = 30
_LARGEST_KEYRING = 8 << 20
_ARMOUR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+: [^\r\n]*\r?\n)*\r?\n"
    rb"([A-Za-z0-9+/=\r\n]+?)(?:\r?\n=[A-Za-z0-9+/]{4})?\r?\n-----END PGP PUBLIC KEY BLOCK-----"
)
_GOOD = re.compile(r"^\[GNUPG:\] GOODSIG [0-9A-F]+ (.*)$", re.MULTILINE)
_VALID = re.compile(r"^\[GNUPG:\] VALIDSIG ([0-9A-F]{40,64}) ", re.MULTILINE)
# A key that has expired or was revoked proves nothing, even beside a good one.
_BAD = re.compile(r"^\[GNUPG:\] (BADSIG|EXPSIG|EXPKEYSIG|REVKEYSIG)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Signed:
    """What was really signed, and who signed it: the key's owner and its fingerprint."""

    text: bytes
    signer: str
    fingerprint: str


def keyring(names: Sequence[str]) -> Path | None:
    """Find the first of these keyrings in VMNET_KEYRINGS or where the system keeps such."""
    own = os.environ.get("VMNET_KEYRINGS")
    folders = [Path(own)] if own else list(FOLDERS)
    places = (folder / name for name in names for folder in folders)
    return next((path for path in places if path.is_file()), None)


def can_verify() -> bool:
    """Tell whether gpgv is installed."""
    return programs.found("gpgv")


def verified(content: bytes, signature: bytes | None, ring: Path, told: str) -> Signed:
    """Verify a detached signature of `content`, or, without one, clear-signed content.

    Only what the signature covers is given back. Raises VmnetError when the signature is bad or
    of a key that is not in the keyring; `told` names the list for the message.
    """
    with tempfile.TemporaryDirectory(prefix="vmnet-gpgv-") as name:
        room = Path(name)
        (room / "ring").write_bytes(_binary(ring))
        (room / "content").write_bytes(content)
        argv = ["gpgv", "--homedir", name, "--keyring", str(room / "ring"), "--status-fd", "1"]
        if signature is None:
            argv += ["--output", str(room / "text"), str(room / "content")]
        else:
            (room / "signature").write_bytes(signature)
            argv += [str(room / "signature"), str(room / "content")]
        said = programs.run(argv, timeout_s=_TIMEOUT_S, check=False)
        good, valid = _GOOD.search(said.stdout), _VALID.search(said.stdout)
        if not good or not valid or _BAD.search(said.stdout):
            raise _refused(said.stdout, programs.last_lines(said.stderr), ring, told)
        text = content if signature is not None else (room / "text").read_bytes()
    return Signed(text, one_line(good[1], 120), valid[1])


def _refused(status: str, words: str, ring: Path, told: str) -> VmnetError:
    if "NO_PUBKEY" in status and not _BAD.search(status):
        return VmnetError(
            f"the digest list {told} is signed with a key that is not in {ring}",
            fix="renew the package that the keyring is of; do not go on without: the list may be "
            "somebody else's",
            status=Exit.HOST_CANNOT,
        )
    return VmnetError(
        f"the signature of the digest list {told} is not good: {words}",
        fix="do not use the image; ask the vendor, or try again from another network",
        status=Exit.HOST_CANNOT,
    )


def _binary(ring: Path) -> bytes:
    """Give the keyring as gpgv takes it: vendors also publish theirs in armour."""
    try:
        if ring.stat().st_size > _LARGEST_KEYRING:
            raise _no_keyring(ring, "it is too large")
        content = ring.read_bytes()
    except OSError as error:
        raise _no_keyring(ring, str(error.strerror)) from error
    if not content.lstrip().startswith(b"-----BEGIN PGP"):
        return content
    try:
        keys = [base64.b64decode(block[1], validate=False) for block in _ARMOUR.finditer(content)]
    except binascii.Error as error:
        raise _no_keyring(ring, "its armour is damaged") from error
    if not keys:
        raise _no_keyring(ring, "its armour is damaged")
    return b"".join(keys)


def _no_keyring(ring: Path, why: str) -> VmnetError:
    return VmnetError(
        f"the keyring {ring} cannot be used: {why}",
        fix="install the package it is of anew, or take it out of VMNET_KEYRINGS",
    )
