"""What a user writes where an image is wanted: a name, a file or an address, and its digest."""

import re
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import unquote, urlsplit

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.image.digest import Digest, digest
from provisioner.pattern import pattern
from provisioner.plan.ip import is_address
from provisioner.plan.scalars import quoted
from provisioner.text import hides, one_line

_PINNED = pattern(r"(?P<source>.*)@(?P<digest>(?:sha256|sha512):[^@/?]*)", re.DOTALL)
_SCHEME = pattern(r"([A-Za-z][A-Za-z0-9+.-]*):")
_NAME = pattern(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
_HOST = pattern(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]+")
_NUMBER = pattern(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_NOT_CI = frozenset({"", "0", "false", "no", "off"})
_FORMS = "write a name of the catalogue, file:./disk.qcow2, or https://host/disk.qcow2"


@dataclass(frozen=True, slots=True)
class Url:
    """An address to fetch from. As text it is safe to show: no password, no query.

    `secret` is the whole of it, for the request and nothing else.
    """

    secret: str = field(repr=False)

    def __str__(self) -> str:
        """Return the address without user, password and query."""
        return shown(self.secret)

    def __repr__(self) -> str:
        """Keep tracebacks and logs as clean as messages."""
        return f"Url({self})"

    @property
    def scheme(self) -> str:
        """Return https or http."""
        return urlsplit(self.secret).scheme

    @property
    def host(self) -> str:
        """Return the host: a name, or an address without brackets."""
        return urlsplit(self.secret).hostname or ""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return scheme, host and port: what a password may be sent to."""
        parts = urlsplit(self.secret)
        return parts.scheme, self.host, parts.port or {"http": 80}.get(parts.scheme, 443)

    @property
    def login(self) -> str:
        """Return user:password, percent-decoded, or nothing."""
        user, at, _ = urlsplit(self.secret).netloc.rpartition("@")
        return unquote(user) if at else ""

    @property
    def bare(self) -> str:
        """Return what is asked for on the wire: no user, no fragment, but the query."""
        parts = urlsplit(self.secret)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()

    @property
    def file_name(self) -> str:
        """Return the last part of the path, by which digest lists call the file."""
        return unquote(urlsplit(self.secret).path.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class Named:
    """An image by its name: of the catalogue, or of the store."""

    name: str
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class LocalFile:
    """An image file on this host, as the user wrote the path."""

    path: str
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """An image to be downloaded, from the first of these addresses that has it."""

    urls: tuple[Url, ...]
    digest: Digest | None = None


Source = Named | LocalFile | Remote


def parse(text: str, pin: str | None = None) -> Source:
    """Parse what the user wrote; `pin` is a digest that was given separately.

    Raises VmnetError, status BAD_INPUT, when it is not one of the forms, or http without a digest.
    """
    found = _PINNED.fullmatch(text)
    source, inside = (found["source"], found["digest"]) if found else (text, None)
    proof = _one_digest(inside, pin)
    if not source or any(hides(character) for character in source):
        raise bad_input(f"{quoted(shown(text))} is not an image", _FORMS)
    if source.startswith(("/", "./", "../", "~/")):
        return LocalFile(source, proof)
    scheme = _SCHEME.match(source)
    if scheme is None:
        return Named(name(source), proof)
    if scheme[1].lower() == "file":
        return LocalFile(_path(source), proof)
    return Remote((address(source, plain=proof is not None),), proof)


def local_path(text: str) -> str:
    """Return the path that `parse` takes a text for, ~ not replaced; "" when it names no file."""
    try:
        source = parse(text)
    except VmnetError:
        return ""  # what fetches it will complain
    return source.path if isinstance(source, LocalFile) else ""


def name(text: str) -> str:
    """Parse an image's name: lower-case letters, digits, dots and hyphens, at most 63 characters.

    Raises VmnetError, status BAD_INPUT.
    """
    if not _NAME.fullmatch(text) or ".." in text:
        path = "/" in text or text.endswith((".qcow2", ".img", ".raw"))
        fix = f"write file:{one_line(text, 60)} for a file" if path else _FORMS
        raise bad_input(f"{quoted(text)} is not the name of an image", fix)
    return text


def address(text: str, *, plain: bool = False) -> Url:
    """Parse an https address, or an http one where `plain` allows it.

    Raises VmnetError, status BAD_INPUT, which never shows a password or a token.
    """
    name = f'"{shown(text)}"'
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise bad_input(f"{name} is not a valid address", _FORMS) from None
    scheme = parts.scheme.lower()
    if scheme not in {"http", "https"}:
        raise bad_input(f"{name}: vmnet does not fetch by {quoted(scheme)}", _FORMS)
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or _is_odd(host) or port == 0 or "\\" in text or " " in text:
        raise bad_input(
            f"{name} is not a valid address",
            "write https://host/path; names in other letters than ASCII in their xn-- form",
        )
    if scheme == "http" and not plain:
        raise bad_input(
            f"{name} comes over http, where anybody on the way can change it",
            "use https, or give the digest as well: SOURCE@sha256:HEX",
        )
    user, at, _ = parts.netloc.rpartition("@")
    place = f"{user}{at}{f'[{host}]' if ':' in host else host}" + (f":{port}" if port else "")
    path = parts.path or "/"
    return Url(parts._replace(scheme=scheme, netloc=place, path=path, fragment="").geturl())


def _is_odd(host: str) -> bool:
    """Return whether a host ends like an IPv4 address and is none in the usual form.

    2130706433, 0x7f.1 and 127.1 are this host to whoever resolves them (inet_aton(3)).
    """
    return bool(_NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2])) and not is_address(host)


def shown(text: str) -> str:
    """Return an address for messages: one line, without user, password, query and fragment."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return one_line(text, 120)
    rest, _, _ = rest.partition("#")
    rest, mark, _ = rest.partition("?")
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if "@" in path:  # of an unquoted / in a password: rather too little than a part of it
        host, path = "…", path.rpartition("@")[2]
    return one_line(f"{scheme}://{host}{slash}{path}" + ("?…" if mark else ""), 200)


def _one_digest(inside: str | None, beside: str | None) -> Digest | None:
    found = [digest(text) for text in (inside, beside) if text is not None]
    if len(set(found)) > 1:
        raise bad_input(f"two digests are given: {found[0]} and {found[1]}", "give one of them")
    return found[0] if found else None


def _path(text: str) -> str:
    path = text[len("file:") :]
    if path.startswith("//"):
        host, slash, below = path[2:].partition("/")
        if host not in {"", "localhost"} or not slash:
            raise bad_input(f"{quoted(text)} names a file of another host", "write file:/path")
        path = unquote("/" + below)
    if not path or path.endswith("/") or any(hides(character) for character in path):
        raise bad_input(f"{quoted(text)} does not name a file", "write file:./disk.qcow2")
    return path


def require_digest_in_ci(remote: Remote, environment: Mapping[str, str]) -> None:
    """Raise VmnetError for a download without a digest in a CI job, where all systems set CI."""
    if remote.digest is None and _is_on(environment, "CI"):
        raise bad_input(
            f"nothing proves {remote.urls[0]}: no digest is given, and this is a CI job",
            "fetch it once by hand, and write the digest that vmnet prints: SOURCE@sha256:HEX",
        )


def require_signed_in_ci(name: str, why: str, environment: Mapping[str, str]) -> None:
    """Raise VmnetError for an image of the catalogue that only a connection proves, in a CI job.

    `why` says so. VMNET_ALLOW_UNSIGNED is for jobs whose owner takes that.
    """
    if _is_on(environment, "CI") and not _is_on(environment, "VMNET_ALLOW_UNSIGNED"):
        raise bad_input(
            f"{name}: {why}; this is a CI job, where nobody would see that it is another image",
            f"pin it: vmnet image pull {name} --digest HEX; or take it as it comes: "
            "VMNET_ALLOW_UNSIGNED=true",
        )


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").strip().lower() not in _NOT_CI


def pin_notice(shown_url: str, found: Digest) -> str:
    """Return what a first use has found, so that the user can pin it."""
    return (
        f"nothing proved {shown_url}: this time it is {found}; "
        f"to get the same again, write {shown_url}@{found}"
    )
