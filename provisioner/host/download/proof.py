"""What proves an image before it is downloaded: a pinned digest, or the vendor's list of them."""

from collections.abc import Callable

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.download import signature as signatures
from provisioner.host.download.limits import SMALL, AttemptFailed, Limits, Pace, failed
from provisioner.host.system import programs
from provisioner.image import digest
from provisioner.image.catalogue import CatalogueEntry, DigestList
from provisioner.image.digest import Digest
from provisioner.image.http import NoBody, PartialContent, judge
from provisioner.image.source import Url

_FIX = "give the digest yourself: SOURCE@sha256:HEX"


@dataclass(frozen=True, slots=True)
class Proof:
    """The digest that an image must have, and a message about what it rests on.

    `is_proved` is whether that is more than the connection to the vendor's host: a digest of the
    catalogue's, or a signature of the vendor's.
    """

    digest: Digest | None
    message: str
    is_proved: bool = True


def of_entry(
    entry: CatalogueEntry, *, limits: Limits = SMALL, tell: Callable[[str], None] = lambda _: None
) -> Proof:
    """Return what proves an image of the catalogue; asks the vendor unless its digest is pinned.

    Raises VmnetError when the list cannot be had, does not name the image or is badly signed.
    """
    if entry.digest is not None or entry.digests is None:
        return Proof(entry.digest, f"the catalogue pins {entry.name}: {entry.digest}")
    wanted = entry.digests
    tell(f"fetching the digest list {wanted.url}")
    content = _read(wanted.url, limits)
    listed, message, is_proved = _verified(content, wanted, limits)
    try:
        text = listed.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VmnetError(f"the digest list {wanted.url} is not text", fix=_FIX) from error
    name = entry.urls[0].file_name
    found = digest.listed(text, name, form=wanted.form, list_name=str(wanted.url))
    return Proof(found, message, is_proved)


def _verified(content: bytes, wanted: DigestList, limits: Limits) -> tuple[bytes, str, bool]:
    """Return the part of a list that counts, what it rests on, and whether that is a signature."""
    only = f"checksum only, over https from {wanted.url.host}"
    if wanted.signature is None:
        return content, f"{only}: the vendor does not sign it, or not verifiably", False
    ring = signatures.keyring(wanted.signature.keyrings)
    if ring is None:
        names = " or ".join(wanted.signature.keyrings)
        return content, f"{only}: there is no keyring {names} to verify it with", False
    if not programs.is_installed("gpgv"):
        return content, f"{only}: gpgv is not installed", False
    by = wanted.signature.url
    signature = _read(by, limits) if by else None
    signed = signatures.verified(content, signature, ring, str(wanted.url))
    return signed.text, f"signed by {signed.signer} ({signed.fingerprint}, in {ring})", True


def _read(url: Url, limits: Limits) -> bytes:
    """Fetch something small."""
    from provisioner.host.download import http

    content = bytearray()
    try:
        with http.get(url, {}, Pace(limits)) as reply:
            body = judge(reply.status, reply.headers, PartialContent())
            if isinstance(body, NoBody):
                raise failed(url, body.why)
            for data in reply.chunks():
                content += data
                if len(content) > limits.max_bytes:
                    raise failed(url, f"it is longer than {limits.max_bytes} bytes")
    except AttemptFailed as failure:
        raise VmnetError(
            f"there is no proof of the image: {failure.error.what}",
            fix=f"try again later, or {_FIX}",
        ) from failure
    return bytes(content)
