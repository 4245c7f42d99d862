"""What an HTTP reply means for a download: a body, a redirect that may be followed, or neither."""

from collections.abc import Mapping
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urljoin

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.image import source
from provisioner.image.source import Url
from provisioner.pattern import pattern
from provisioner.text import one_line

MOST_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})

_CONTENT_RANGE = pattern(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_DIGITS = pattern(r"\d{1,19}")
_BODIES = frozenset({200, 206})
_NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class PartialContent:
    """The first `size` bytes of a file, the ETag it had, and its whole length if that is known."""

    size: int = 0
    etag: str | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """The body is the whole file, or with `resumes` its rest; the file has `total` bytes."""

    total: int | None  # None: the reply does not state it
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class NoBody:
    """The reply has no usable body. `ask_again`: it does not fit the part, the whole may come."""

    why: str
    ask_again: bool = False


def range_headers(part: PartialContent) -> dict[str, str]:
    """Return the headers that ask for the rest of a part, or none to ask for the whole file.

    Only a strong ETag proves two files equal byte for byte (RFC 9110, 8.8.3).
    """
    etag = part.etag or ""
    if not part.size or etag == '"' or not (etag.startswith('"') and etag.endswith('"')):
        return {}
    return {"Range": f"bytes={part.size}-", "If-Range": etag}


def judge(status: int, headers: Mapping[str, str], part: PartialContent) -> Body | NoBody:
    """Return what a reply to a request with `range_headers(part)` brings.

    `headers` finds names in any case.
    """
    resuming = bool(range_headers(part))
    encoding = headers.get("Content-Encoding")
    if status in _BODIES and encoding not in {None, "", "identity"}:
        shown = one_line(encoding or "", 40)
        return NoBody(f"it comes in the encoding {shown}, which vmnet did not ask for")
    match status:
        case 200:
            return _whole(_length(headers))
        case 206 if resuming:
            return _rest(headers, part)
        case 206:
            return NoBody("it sent a part of the file although the whole was asked for")
        case 416 if resuming:
            return NoBody("the server has no more of it", ask_again=True)
        case _:
            return NoBody(f"the server answers {status}")


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Return whether the body itself marks its end."""
    return "chunked" in headers.get("Transfer-Encoding", "").lower()


def _length(headers: Mapping[str, str]) -> str | None:
    return None if is_chunked(headers) else headers.get("Content-Length")


def _whole(length: str | None) -> Body | NoBody:
    if length is None:
        return Body(None)
    if not _DIGITS.fullmatch(length):
        return NoBody(f"its length is {one_line(length, 40)}")
    return Body(int(length))


def _rest(headers: Mapping[str, str], part: PartialContent) -> Body | NoBody:
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if not found:
        return NoBody("the server sent a part without saying which", ask_again=True)
    first, last = int(found[1]), int(found[2])
    whole = None if found[3] == "*" else int(found[3])
    if first != part.size or last < first or (whole is not None and last != whole - 1):
        return NoBody("the server sent another part than was asked for", ask_again=True)
    if _length(headers) not in {None, str(last - first + 1)}:
        return NoBody("the server sent a part of another length than it says", ask_again=True)
    if headers.get("ETag") != part.etag or (
        part.total is not None and whole not in {None, part.total}
    ):
        return NoBody("the file has changed on the server", ask_again=True)
    return Body(last + 1, resumes=True)


class Scope(IntEnum):
    """Where an address is: anywhere, in a private network, on this link, on this host."""

    PUBLIC = 0
    PRIVATE = 1
    LINK = 2
    HOST = 3


def scope(address: str) -> Scope:
    """Return where an IP address is; one inside another (mapped, NAT64, 6to4) counts itself."""
    here = _inner(ip_address(address.partition("%")[0]))
    if here.is_loopback or here.is_unspecified:
        return Scope.HOST
    if here.is_link_local:
        return Scope.LINK
    if not here.is_global or here.is_multicast or here.is_reserved:
        return Scope.PRIVATE
    return Scope.PUBLIC


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def may_meet(first: Scope, now: Scope) -> bool:
    """Return whether a download that began in one scope may be sent on into another.

    A private network may send on inside private networks. This host, and this link with the
    metadata service of a cloud on it, are only for downloads that began there.
    """
    return now is Scope.PUBLIC or now is first or (now is Scope.PRIVATE and first > Scope.PUBLIC)


def too_near(url: Url) -> VmnetError | None:
    """Return the complaint about an address in a plan that is this host's, or of its link.

    Root would ask there what the plan's author cannot: services for this host alone, or a cloud's
    metadata. None when it is neither, or a name, whose address is judged when it is connected to.
    """
    try:
        here = Scope.HOST if url.host.rstrip(".") in LOCAL_NAMES else scope(url.host)
    except ValueError:
        return None
    return near(url) if here >= Scope.LINK else None


def near(url: Url) -> VmnetError:
    """Return the error for an address in a plan that leads to this host or its link."""
    return VmnetError(
        f"{url} leads to this host or its own link, and a plan cannot have vmnet ask there",
        fix="if you trust it, fetch it yourself with vmnet image pull, and give the plan its name",
        status=Exit.BAD_INPUT,
    )


def follow(here: Url, location: str | None, hops: int) -> Url:
    """Return the address that a reply redirects to, after `hops` redirects before it.

    Raises VmnetError for a redirect too many, or to anything but https.
    """
    if not location:
        raise refused(here, "redirects to nowhere")
    if hops >= MOST_REDIRECTS:
        raise refused(here, f"redirects more than {MOST_REDIRECTS} times")
    target = urljoin(here.bare, location)
    if not target.lower().startswith("https://"):
        raise refused(here, f"redirects to {source.shown(target)}, which is not https")
    try:
        return source.address(target)
    except VmnetError as error:
        what = f"redirects to {source.shown(target)}, which is not a valid address"
        raise refused(here, what) from error


def refused(here: Url, what: str) -> VmnetError:
    """Return the error for a redirect that is not followed."""
    fix = "fetch the file by hand and import it, or use another mirror"
    return VmnetError(f"{here} {what}", fix=fix)
