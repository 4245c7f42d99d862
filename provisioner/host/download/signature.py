"""Signatures of digest lists: gpgv against one keyring of the vendor, and no other."""

import base64
import binascii
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.system import programs
from provisioner.pattern import pattern
from provisioner.text import one_line

FOLDERS: Final = (
    Path("/usr/share/keyrings"),
    Path("/etc/apt/keyrings"),
    Path("/usr/local/share/keyrings"),
)
"""Where Debian's packages, and administrators, put keyrings: they may be newer than ours."""

SHIPPED: Final = Path(__file__).parents[2] / "images" / "keyrings"
"""Those that come with the catalogue; docs/reference/images.md has their fingerprints."""

_TIMEOUT_S = 30
_LARGEST_KEYRING = 8 << 20
_ARMOUR = pattern(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+: [^\r\n]*\r?\n)*\r?\n"
    rb"([A-Za-z0-9+/=\r\n]+?)(?:\r?\n=[A-Za-z0-9+/]{4})?\r?\n-----END PGP PUBLIC KEY BLOCK-----"
)
_GOOD = pattern(r"^\[GNUPG:\] GOODSIG [0-9A-F]+ (.*)$", re.MULTILINE)
_VALID = pattern(r"^\[GNUPG:\] VALIDSIG ([0-9A-F]{40,64}) ", re.MULTILINE)
# A key that has expired or was revoked proves nothing, even beside a good one.
_BAD = pattern(r"^\[GNUPG:\] (BADSIG|EXPSIG|EXPKEYSIG|REVKEYSIG)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Signed:
    """What was really signed, and who signed it: the key's owner and its fingerprint."""

    text: bytes
    signer: str
    fingerprint: str


def keyring(names: Sequence[str]) -> Path | None:
    """Return the first of these keyrings in VMNET_KEYRINGS, or of the system's and vmnet's own."""
    own = os.environ.get("VMNET_KEYRINGS")
    folders = [Path(own)] if own else [*FOLDERS, SHIPPED]
    places = (folder / name for name in names for folder in folders)
    return next((path for path in places if path.is_file()), None)


def verified(content: bytes, signature: bytes | None, ring: Path, list_name: str) -> Signed:
    """Verify a detached signature of `content`, or, without one, clear-signed content.

    Only what the signature covers is returned. Raises VmnetError when the signature is bad or
    of a key that is not in the keyring; messages name `list_name`.
    """
    with tempfile.TemporaryDirectory(prefix="vmnet-gpgv-") as name:
        folder = Path(name)
        (folder / "ring").write_bytes(_binary(ring))
        (folder / "content").write_bytes(content)
        argv = ["gpgv", "--homedir", name, "--keyring", str(folder / "ring"), "--status-fd", "1"]
        if signature is None:
            argv += ["--output", str(folder / "text"), str(folder / "content")]
        else:
            (folder / "signature").write_bytes(signature)
            argv += [str(folder / "signature"), str(folder / "content")]
        ran = programs.run(argv, timeout_s=_TIMEOUT_S, check=False)
        good, valid = _GOOD.search(ran.stdout), _VALID.search(ran.stdout)
        if not good or not valid or _BAD.search(ran.stdout):
            raise _refused(ran.stdout, programs.last_lines(ran.stderr), ring, list_name)
        text = content if signature is not None else (folder / "text").read_bytes()
    return Signed(text, one_line(good[1], 120), valid[1])


def _refused(status: str, message: str, ring: Path, list_name: str) -> VmnetError:
    if "NO_PUBKEY" in status and not _BAD.search(status):
        return VmnetError(
            f"the digest list {list_name} is signed with a key that is not in {ring}",
            fix="renew the package that the keyring comes from; do not go on without it: the "
            "list may be somebody else's",
        )
    return VmnetError(
        f"the signature of the digest list {list_name} is not good: {message}",
        fix="do not use the image; ask the vendor, or try again from another network",
    )


def _binary(ring: Path) -> bytes:
    """Return the keyring as gpgv reads it: vendors also publish theirs in armour."""
    try:
        if ring.stat().st_size > _LARGEST_KEYRING:
            raise _no_keyring(ring, "it is too large")
        content = ring.read_bytes()
    except OSError as error:
        raise _no_keyring(ring, str(error.strerror)) from error
    if not content.lstrip().startswith(b"-----BEGIN PGP"):
        return content
    keys: list[bytes] = []
    with suppress(binascii.Error):
        keys = [base64.b64decode(block[1], validate=False) for block in _ARMOUR.finditer(content)]
    if not keys:
        raise _no_keyring(ring, "its armour is damaged")
    return b"".join(keys)


def _no_keyring(ring: Path, why: str) -> VmnetError:
    return VmnetError(
        f"the keyring {ring} cannot be used: {why}",
        fix="reinstall the package that it comes from, or take it out of VMNET_KEYRINGS",
    )
