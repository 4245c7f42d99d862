"""What proves an image before it is downloaded: a pinned digest, or the vendor's list of them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from provisioner.errors import VmnetError
from provisioner.host.download import http
from provisioner.host.download import signature as signatures
from provisioner.host.download.limits import SMALL, Clock, Failed, Limits, failed
from provisioner.image import digest, trust
from provisioner.image.catalogue import DigestList, Entry
from provisioner.image.digest import Digest
from provisioner.image.source import Remote, Url


class Trust(StrEnum):
    """What a digest rests on."""

    PINNED = "pinned"  # it was written down: by the user, or in the catalogue
    SIGNED = "signed"  # the vendor's list, its signature good
    LISTED = "listed"  # the vendor's list over https: checksum only
    NOTHING = "nothing"  # there is no digest


@dataclass(frozen=True, slots=True)
class Proof:
    """The digest that an image must have, what it rests on, and that in words for the user."""

    digest: Digest | None
    trust: Trust
    told: str


def of_source(source: Remote) -> Proof:
    """Say what proves a source that the user wrote.

    Raises VmnetError, status BAD_INPUT, when nothing does and this is a CI job.
    """
    told = str(source.urls[0])
    if source.digest:
        return Proof(source.digest, Trust.PINNED, f"the digest is given: {source.digest}")
    refusal = trust.refusal(told, proved=False, ci=trust.in_ci(os.environ))
    if refusal:
        raise refusal
    return Proof(None, Trust.NOTHING, f"nothing proves {told} but the TLS certificate of its host")


def of_entry(
    entry: Entry, *, limits: Limits = SMALL, tell: Callable[[str], None] = lambda _: None
) -> Proof:
    """Say what proves an image of the catalogue; asks the vendor unless its digest is pinned.

    Raises VmnetError when the list cannot be had, says nothing of the image or is badly signed.
    """
    if entry.digest is not None or entry.digests is None:
        return Proof(entry.digest, Trust.PINNED, f"the catalogue pins {entry.name}: {entry.digest}")
    wanted = entry.digests
    tell(f"fetching the digest list {wanted.url}")
    content = _read(wanted.url, limits)
    text, trust, told = _judged(content, wanted, limits)
    found = digest.listed(
        _decoded(text, wanted.url), entry.urls[0].file_name, form=wanted.form, told=str(wanted.url)
    )
    return Proof(found, trust, told)


def _judged(content: bytes, wanted: DigestList, limits: Limits) -> tuple[bytes, Trust, str]:
    """Give the part of a list that counts, what it rests on, and how to tell it."""
    only = f"checksum only, over https from {wanted.url.host}"
    if wanted.signature is None:
        return content, Trust.LISTED, f"{only}: the vendor does not sign it, or not verifiably"
    ring = signatures.keyring(wanted.signature.keyrings)
    if ring is None:
        names = " or ".join(wanted.signature.keyrings)
        return content, Trust.LISTED, f"{only}: there is no keyring {names} to verify it with"
    if not signatures.can_verify():
        return content, Trust.LISTED, f"{only}: gpgv is not installed"
    by = wanted.signature.url
    signature = _read(by, limits) if by else None
    signed = signatures.verified(content, signature, ring, str(wanted.url))
    told = f"signed by {signed.signer} ({signed.fingerprint}, in {ring})"
    return signed.text, Trust.SIGNED, told


def _read(url: Url, limits: Limits) -> bytes:
    """Fetch something small."""
    clock = Clock.of(limits)
    content = bytearray()
    try:
        with http.get(url, {}, limits, clock) as reply:
            http.demand_body(reply)
            for data in reply.chunks():
                content += data
                if len(content) > limits.max_bytes:
                    raise failed(url, f"it is longer than {limits.max_bytes} bytes")
    except Failed as failure:
        raise VmnetError(
            f"there is no proof of the image: {failure.error.what}",
            fix="try again later, or give the digest yourself: SOURCE@sha256:HEX",
            status=failure.error.status,
        ) from failure
    return bytes(content)


def _decoded(text: bytes, url: Url) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VmnetError(
            f"the digest list {url} is not text", fix="give the digest yourself: SOURCE@sha256:HEX"
        ) from error
