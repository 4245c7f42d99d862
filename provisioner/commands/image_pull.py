"""Gets an image that is not here: from the catalogue, from an address, from a file."""

import hashlib
import os
import stat
from dataclasses import asdict
from hashlib import blake2s
from pathlib import Path

from provisioner.commands.image import Tell, add, stored
from provisioner.errors import VmnetError, bad_input
from provisioner.guest.domain import Image
from provisioner.host.download import fetch
from provisioner.host.download import proof as proofs
from provisioner.host.download.limits import OF_PLAN, Limits
from provisioner.host.image import store
from provisioner.host.image.copy import Progress
from provisioner.host.system import paths, plan_files
from provisioner.host.system.plan_files import Fence
from provisioner.image import catalogue, record
from provisioner.image import source as sources
from provisioner.image.digest import Digest
from provisioner.image.http import too_near
from provisioner.image.record import Origin, Stored
from provisioner.image.source import LocalFile, Named, Remote
from provisioner.image.traits import ImageTraits
from provisioner.text import one_line

_UNKNOWN = ImageTraits(boot=("bios", "uefi"))
_RECIPES = ("debian-12", "debian-13")


def pull(
    what: str,
    tell: Tell,
    progress: Progress,
    *,
    name: str = "",
    pin: str = "",
    limits: Limits = Limits(),  # noqa: B008  (a frozen value)
) -> Stored:
    """Fetch what the catalogue or an address names, prove it, and take it into the store.

    Two that want the same file fetch it once. Raises VmnetError or Complaints.
    """
    source = sources.parse(what, pin or None)
    match source:
        case LocalFile():
            path = Path(source.path)
            named = name or record.name_from(path.name)
            return add(
                path, Origin(named, str(path.absolute()), digest=source.digest), tell, progress
            )
        case Named():
            return _pull_known(source, tell, progress)
        case Remote():
            sources.require_digest_in_ci(source, os.environ)
            if not source.digest:
                tell(f"nothing proves {source.urls[0]} but the TLS certificate of its host")
            named = record.require_name(name or record.name_from(source.urls[0].file_name))
            return _fetched(named, source, _UNKNOWN, tell, progress, limits)


def _pull_known(source: Named, tell: Tell, progress: Progress) -> Stored:
    entry = catalogue.find(source.name)
    if entry is None:
        raise catalogue.unknown(source.name)
    digest = source.digest
    if digest is None:
        proof = proofs.of_entry(entry, tell=tell)
        tell(f"{entry.name}: {proof.message}")
        if not proof.is_proved:
            sources.require_signed_in_ci(entry.name, proof.message, os.environ)
        digest = proof.digest
    return _fetched(entry.name, Remote(entry.urls, digest), entry.traits, tell, progress)


def _fetched(
    name: str,
    remote: Remote,
    traits: ImageTraits,
    tell: Tell,
    progress: Progress,
    limits: Limits = Limits(),  # noqa: B008  (a frozen value)
) -> Stored:
    into = paths.cache() / "downloads" / f"{_mark(remote, 8)}-{one_line(name, 40)}"

    def there() -> Path | None:
        kept = store.find(paths.store(), name)
        same = kept and remote.digest and remote.digest.hex == kept.record.digest
        return kept.path if kept and same else None

    with fetch.fetching(
        remote,
        into,
        limits=limits,
        tell=tell,
        progress=lambda done, all_: progress(done, all_ or 0),
        there=there,
    ) as got:
        digest = remote.digest or got.digests[0]
        added = add(got.path, Origin(name, got.shown_url, traits, digest), tell, progress)
        into.unlink(missing_ok=True)  # the store has its own copy
    if not remote.digest:
        tell(sources.pin_notice(got.shown_url, got.digests[0]))
    return added


def _mark(remote: Remote, size: int) -> str:
    """Return a mark of all that decides what comes: two that want the same wait for each other."""
    text = f"{remote.urls[0].secret} {remote.digest}".encode("utf-8", "replace")
    return blake2s(text, digest_size=size).hexdigest()


def image(fence: Fence, text: str, pin: str, tell: Tell | None) -> Image:
    """Return an image as a plan's VM names it; with `tell` it is fetched or imported if need be.

    Without `tell` only what is known of it is returned, and nothing is read. `fence` is the plan's.
    Raises VmnetError.
    """
    source = sources.parse(text, pin or None)
    match source:
        case Named():
            return _named(source.name, tell)
        case LocalFile():
            name = _imported(fence, source, tell)
        case _:
            if refused := too_near(source.urls[0]):
                raise refused
            name = _name_of_address(source)
            if tell and not stored(name):
                pull(text, tell, _no_bar, name=name, pin=pin, limits=OF_PLAN)
    return _image(sources.shown(text), stored(name), _UNKNOWN)


def name_in_store(text: str, pin: str) -> str:
    """Return the name that the store has an image of a plan by; "" for a file of this host."""
    match sources.parse(text, pin or None):
        case Named(name=name):
            known = catalogue.find(name)
            return known.name if known else name
        case Remote() as source:
            return _name_of_address(source)
        case _:
            return ""


def _name_of_address(source: Remote) -> str:
    named = record.name_from(source.urls[0].file_name)[:40] or "image"
    return f"{named}-{_mark(source, 4)}"


def _named(name: str, tell: Tell | None) -> Image:
    known = catalogue.find(name)
    at_home = known.name if known else name
    if not (kept := stored(at_home)):
        if known is None:
            raise absent(name)
        if tell:
            try:
                pull(at_home, tell, _no_bar)
            except VmnetError as error:
                raise absent(name, error) from error
            kept = stored(at_home)
    return _image(name, kept, known.traits if known else _UNKNOWN)


def _imported(fence: Fence, source: LocalFile, tell: Tell | None) -> str:
    """Import a file of the user's, unless the store has it as it is now; return its name."""
    if tell is None:
        return _name_of_file(os.path.realpath(fence.folder / source.path))
    with plan_files.opened(fence, "image", source.path) as found:
        shown = str(found.real)
        name = _name_of_file(shown)
        if not stat.S_ISREG(found.stat.st_mode):
            raise bad_input(
                f'the image "{one_line(source.path)}" is not a regular file', "name a file"
            )
        if not _is_stored(found.itself, name, source.digest):
            tell(f"taking in {one_line(shown)}")
            origin = Origin(name, shown, _UNKNOWN, source.digest)
            add(found.itself, origin, tell, _no_bar, shown=shown)
    return name


def _name_of_file(real: str) -> str:
    mark = blake2s(os.fsencode(real), digest_size=4).hexdigest()
    return f"{record.name_from(Path(real).name)[:40] or 'file'}-{mark}"


def _is_stored(path: Path, name: str, digest: Digest | None) -> bool:
    """Return whether the store has this file's content: hashed again, for files change."""
    kept = stored(name)
    if not kept or path.stat().st_size != kept.record.size:
        return False
    if digest and digest != Digest("sha256", kept.record.digest):
        return False  # importing it anew compares the digests
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == kept.record.digest


def _image(name: str, kept: store.StoredImage | None, unknown: ImageTraits) -> Image:
    """Return a stored image, or what stands for one that is not here yet."""
    if not kept:
        return Image(**asdict(unknown), name=name, disk="/not-fetched-yet")
    found = kept.record
    return Image(
        **asdict(found.traits),
        name=name,
        disk=str(kept.path),
        format=found.format,
        size=found.virtual_size,
    )


def _no_bar(_done: int, _all: int) -> None:
    """Draw nothing: `up` writes a line for each thing it does."""


def absent(name: str, why: VmnetError | None = None) -> VmnetError:
    """Return the error for an image that is not here, with how it can be had."""
    hint = f", or build one from packages: vmnet image build {name}" if name in _RECIPES else ""
    if why is not None:
        fix = f"{why.fix or 'see: vmnet image ls'}{hint}"
        return VmnetError(why.what, fix=fix, status=why.status)
    return bad_input(
        f'there is no image "{one_line(name, 80)}"',
        f"see those there are: vmnet image ls; take in a file: vmnet image import{hint}",
    )
