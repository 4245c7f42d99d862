"""How an image comes here that is not: from the catalogue, from an address, from a file."""

import hashlib
import os
import stat
from dataclasses import dataclass
from hashlib import blake2s
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.commands.image import Tell, add, stored
from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import Image
from provisioner.host.download import fetch
from provisioner.host.download import proof as proofs
from provisioner.host.download.proof import Trust
from provisioner.host.image import store
from provisioner.host.image.copy import Progress
from provisioner.host.system import paths, plan_files
from provisioner.host.system.plan_files import Fence
from provisioner.image import catalogue, record, trust
from provisioner.image import source as sources
from provisioner.image.digest import Digest
from provisioner.image.record import Origin, Stored, Traits
from provisioner.image.source import LocalFile, Named, Remote
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.image.catalogue import Entry

_RECIPES_HINT = "or build one from packages: vmnet image build {name}"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A download that has been decided on."""

    name: str
    remote: Remote
    traits: Traits
    proved: bool


def pull(what: str, tell: Tell, progress: Progress, *, name: str = "", pin: str = "") -> Stored:
    """Fetch what the catalogue or an address names, prove it, and take it into the store.

    Two that want the same file fetch it once. Raises VmnetError or Complaints.
    """
    source = sources.parse(what, pin or None)
    if isinstance(source, LocalFile):
        path = Path(source.path)
        named = name or record.name_from(path.name)
        origin = Origin(named, str(path.absolute()), digest=str(source.digest or ""))
        return add(path, origin, tell, progress)
    if isinstance(source, Named):
        return _fetched(_of_catalogue(source.name, source.digest, tell), tell, progress)
    return _fetched(_of_address(source, name, tell), tell, progress)


def _of_catalogue(name: str, digest: Digest | None, tell: Tell) -> _Wanted:
    entry = catalogue.find(name)
    if entry is None:
        raise catalogue.packaged().unknown(name)
    if digest is None:
        proof = proofs.of_entry(entry, tell=tell)
        tell(f"{entry.name}: {proof.told}")
        digest = proof.digest
    return _Wanted(entry.name, Remote(entry.urls, digest), traits_of(entry), proved=True)


def _of_address(remote: Remote, name: str, tell: Tell) -> _Wanted:
    proof = proofs.of_source(remote)
    if proof.trust is not Trust.PINNED:
        tell(proof.told)
    named = name or record.name_from(remote.urls[0].file_name)
    return _Wanted(
        record.require_name(named),
        Remote(remote.urls, proof.digest),
        Traits(boot=("bios", "uefi")),
        proved=proof.trust is not Trust.NOTHING,
    )


def _fetched(wanted: _Wanted, tell: Tell, progress: Progress) -> Stored:
    remote = wanted.remote
    # By all that decides what comes: two that want the same wait for each other.
    words = f"{remote.urls[0].secret} {remote.digest}"
    mark = blake2s(words.encode("utf-8", "replace"), digest_size=8).hexdigest()
    into = paths.cache() / "downloads" / f"{mark}-{one_line(wanted.name, 40)}"

    def there() -> Path | None:
        kept = store.find(paths.store(), wanted.name)
        same = kept and remote.digest and remote.digest.hex == kept.record.digest
        return kept.path if kept and same else None

    with fetch.fetching(
        remote, into, tell=tell, progress=lambda done, all_: progress(done, all_ or 0), there=there
    ) as got:
        origin = Origin(
            wanted.name, got.url_told, wanted.traits, str(remote.digest or got.digests[0])
        )
        record = add(got.path, origin, tell, progress)
        into.unlink(missing_ok=True)  # the store has its own copy
    if not wanted.proved:
        tell(trust.notice(got.url_told, got.digests[0]))
    return record


def image(fence: Fence, text: str, pin: str, tell: Tell | None) -> Image:
    """Give an image as a plan's VM names it; with `tell` it is fetched or imported if need be.

    Without `tell` only what is known of it comes back, and nothing is read. `fence` is the plan's.
    Raises VmnetError.
    """
    source = sources.parse(text, pin or None)
    if isinstance(source, Named):
        return _named(source.name, tell)
    told, unknown = sources.told(text), Traits(boot=("bios", "uefi"))
    if isinstance(source, LocalFile):
        name = _taken_in(fence, source.path, str(source.digest or ""), tell)
    else:
        name = _name_of(source)
        if tell and not stored(name):
            pull(text, tell, _no_bar, name=name, pin=pin)
    kept = stored(name)
    return _as_image(told, kept.record, kept.path) if kept else _unfetched(told, unknown)


def _named(name: str, tell: Tell | None) -> Image:
    known = catalogue.find(name)
    at_home = known.name if known else name
    if not (kept := stored(at_home)):
        if known is None:
            raise absent(name)
        if tell is None:
            return _unfetched(name, traits_of(known))
        try:
            pull(at_home, tell, _no_bar)
        except VmnetError as error:
            raise absent(name, error) from error
        kept = stored(at_home)
    return _as_image(name, kept.record, kept.path) if kept else _unfetched(name, Traits())


def _taken_in(fence: Fence, written: str, digest: str, tell: Tell | None) -> str:
    """Take a file of the user's into the store, unless it is there as it is now; give its name."""
    if tell is None:
        return _name_of_file(os.path.realpath(fence.folder / written))
    with plan_files.found(fence, "image", written) as found:
        name = _name_of_file(str(found.real))
        if not stat.S_ISREG(found.stat.st_mode):
            raise plan_files.bad(
                f'the image "{one_line(written)}" is not a regular file', "name a file"
            )
        if not _is_as_before(found.itself, name, digest):
            shown = str(found.real)
            tell(f"taking in {one_line(shown)}")
            origin = Origin(name, shown, Traits(boot=("bios", "uefi")), digest)
            add(found.itself, origin, tell, _no_bar, shown=shown)
    return name


def _name_of_file(real: str) -> str:
    mark = blake2s(os.fsencode(real), digest_size=4).hexdigest()
    return f"{record.name_from(Path(real).name)[:40] or 'file'}-{mark}"


def _is_as_before(path: Path, name: str, digest: str) -> bool:
    """Tell whether the store has this file's content: hashed again, for files change."""
    kept = stored(name)
    if not kept or path.stat().st_size != kept.record.size:
        return False
    if digest and digest != f"sha256:{kept.record.digest}":
        return False  # taking it in anew will say whether it is what was meant
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == kept.record.digest


def _name_of(remote: Remote) -> str:
    """Name what an address gave by all that decides it: the address, and the digest if any."""
    words = f"{remote.urls[0].secret} {remote.digest}".encode("utf-8", "replace")
    named = record.name_from(remote.urls[0].file_name)[:40] or "image"
    return f"{named}-{blake2s(words, digest_size=4).hexdigest()}"


def _as_image(name: str, record: Stored, path: Path) -> Image:
    traits = record.traits
    return Image(
        kernel=traits.kernel,
        initrd=traits.initrd,
        cmdline=traits.cmdline,
        min_memory_mib=traits.min_memory_mib,
        name=name,
        disk=str(path),
        format=record.format,
        size=record.virtual_size,
        boot=traits.boot,
        user=traits.user,
        min_cpu=traits.min_cpu,
        agent=traits.agent,
        cloud_init=traits.cloud_init,
    )


def _unfetched(name: str, traits: Traits) -> Image:
    """Stand for an image that is not here yet: what is known of it before it comes."""
    record = Stored(name, "", "qcow2", 0, 0, "", "", traits)
    return _as_image(name, record, Path("/not-fetched-yet"))


def _no_bar(_done: int, _all: int) -> None:
    """Draw nothing: `up` tells a line for each thing it does."""


def traits_of(entry: "Entry") -> Traits:
    """Say what the catalogue knows of an image's guests."""
    return Traits(
        boot=tuple(firmware.value for firmware in entry.boot),
        user=entry.user,
        min_memory_mib=entry.min_memory_mib,
        min_cpu="" if entry.min_cpu == "x86-64-v1" else str(entry.min_cpu),
        agent=entry.agent,
    )


def absent(name: str, why: VmnetError | None = None) -> VmnetError:
    """Say that an image is not here, and how it can be had."""
    hint = f", {_RECIPES_HINT.format(name=name)}" if name in {"debian-12", "debian-13"} else ""
    if why is not None:
        return VmnetError(
            why.what, fix=f"{why.fix or 'see: vmnet image ls'}{hint}", status=why.status
        )
    return VmnetError(
        f'there is no image "{one_line(name, 80)}"',
        fix=f"see those there are: vmnet image ls; take in a file: vmnet image import{hint}",
        status=Exit.BAD_INPUT,
    )
