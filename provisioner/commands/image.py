"""`vmnet image`: what is there, what is added, what is removed."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from provisioner.errors import VmnetError, bad_input, collected, refuse
from provisioner.host.image import built, in_use, micro, source_file, store, store_files
from provisioner.host.image.copy import Progress
from provisioner.host.image.store import Removable, StoredImage
from provisioner.host.libvirt import privileges
from provisioner.host.system import paths
from provisioner.image import catalogue
from provisioner.image import record as images
from provisioner.image.digest import Digest
from provisioner.image.listing import Row
from provisioner.image.record import Origin, Stored
from provisioner.image.traits import ImageTraits
from provisioner.pattern import pattern
from provisioner.text import one_line

Tell = Callable[[str], None]

_MIRROR: Final = pattern(r"(?:https?|file)://?[!-Z^-~]+")
_OWN: Final = "debian"  # of the host's own release


def listed() -> list[Row]:
    """List the images that a plan can name: built, stored, and such as can be pulled."""
    used = in_use.in_use(paths.state())
    found = micro.installed()
    names = [entry.name for entry in catalogue.packaged().images]
    rows = {name: Row(name, "can be pulled") for name in names}
    rows["micro"] = Row("micro", "built" if found else "not built")
    for folder, state in reversed(_stores()):
        for kept in store.every(folder):
            record = kept.record
            rows[record.name] = Row(record.name, state, record, used.get(record.digest, ()))
    return [rows[name] for name in sorted(rows)]


def stored(name: str) -> StoredImage | None:
    """Return an image of the user's store, or else of root's; None when there is none.

    Whoever makes a disk on it holds the store meanwhile (`store_files.held`), so that it stays.
    Raises VmnetError when its content is gone.
    """
    found = (store.find(folder, name) for folder, _ in _stores())
    return next((kept for kept in found if kept), None)


def add(file: Path, origin: Origin, tell: Tell, progress: Progress, *, shown: str = "") -> Stored:
    """Take an image file into the store: copied, hashed, checked. Raises VmnetError or Complaints.

    The file is unpacked when it is gz, xz, bz2 or a tar of one image. `shown` names it in messages,
    where that is not its path.
    """
    images.require_name(origin.name)
    privileges.require_own_folders(paths.state(), paths.store(), paths.cache())
    algorithm = origin.digest.algorithm if origin.digest else "sha256"
    before = {k.record.name: k.record.digest for k in store.every(paths.store())}
    with source_file.opened(file, algorithm, shown=shown) as given:
        record = store.add(paths.store(), given, origin, tell, progress)
    if before.get(origin.name, record.digest) != record.digest:
        tell(f"{origin.name} was another image before; disks of plans that run keep that one")
    return record


def verify(name: str, tell: Tell, progress: Progress) -> Iterator[str]:
    """Hash an image's content anew, or those of all without a name; yield the names of good ones.

    That includes micro, which is in the cache.

    Raises Complaints about all that are not what was imported, after the last.
    """
    errors: list[VmnetError] = []
    with store_files.held(paths.store(), tell):
        if name in {"", *images.BUILT_IN} and (image := micro.installed()):
            with collected(errors):
                built.verify(image.folder)
                yield "micro"
        for kept in _every(name) if name not in images.BUILT_IN else ():
            with collected(errors):
                store.verify(kept, progress)
                yield kept.record.name
    refuse(errors)


def remove(name: str, tell: Tell) -> Removable:
    """Remove an image's name, and its content with its last name. Raises VmnetError."""
    if name in images.BUILT_IN:
        raise bad_input(
            f"{name} is not an image in the store",
            f"it lies below {paths.cache() / 'images'}, which is safe to delete",
        )
    folder = paths.store()
    with store_files.held(folder, tell, alone=True):
        return store.remove(folder, name, in_use.in_use(paths.state()))


def prunable() -> list[Removable]:
    """List what no disk of a plan depends on."""
    return store.unused(paths.store(), in_use.in_use(paths.state()))


def prune(agreed: Sequence[Removable], tell: Tell) -> list[Removable]:
    """Remove what was agreed on and is unused still; return what was removed."""
    folder = paths.store()
    with store_files.held(folder, tell, alone=True):
        return store.prune(folder, agreed, in_use.in_use(paths.state()))


def build(
    name: str,
    tell: Tell,
    progress: Progress,
    mirrors: Sequence[str] = (),
    output: Path | None = None,
) -> str:
    """Build an image by its recipe; return what was built. Raises VmnetError.

    "debian" is the one of the host's own release. The packages of a Debian come from `mirrors`
    when some are named, from the host's own mirror otherwise. A copy of micro is left in `output`.
    """
    from provisioner.host.image.debian import recipe

    privileges.require_own_folders(paths.cache())
    suites = recipe.suites()
    if name != "micro" and name not in {_OWN, *suites}:
        known = ", ".join(f'"{each}"' for each in ("micro", _OWN, *suites))
        raise bad_input(
            f'there is no recipe for an image "{one_line(name, 80)}"',
            f"the images that vmnet can build: {known}",
        )
    if bad := [uri for uri in mirrors if not _MIRROR.fullmatch(uri)]:
        raise bad_input(
            f'"{one_line(bad[0], 80)}" is not the address of a mirror',
            "write it as in a line of sources.list: http://HOST/debian",
        )
    if name != "micro":
        if output:
            raise bad_input(
                f"{name} is not handed out, its disk is a file that can be copied",
                "leave --output out; for micro: vmnet image build micro --output DIR",
            )
        return _debian(recipe.own_name() if name == _OWN else name, tell, progress, mirrors)
    if mirrors:
        raise bad_input(
            "micro is made of the host's own packages, whatever mirror is named",
            "leave --mirror out, or build a debian",
        )
    made = micro.build(paths.cache(), tell).folder
    return f"micro: {hand_out(made, output) if output else made}"


def hand_out(image: Path, to: Path) -> Path:
    """Copy a built image into a folder of the user's, for another host; return where it is.

    Raises VmnetError when that folder cannot be written to, or has an image of this name.
    """
    final = to / image.name
    draft = to / f".{image.name}.part"
    try:
        to.mkdir(parents=True, exist_ok=True)
        if final.exists():
            raise bad_input(f"{final} is there already", "name another folder, or delete that one")
        shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
        built.copied(image, draft)
        draft.rename(final)
    except OSError as error:
        raise VmnetError(
            f"cannot write to {to}: {error.strerror}",
            fix="name a folder of yours, with some 40 MB free: --output DIR",
        ) from error
    return final


def take_in(folder: Path, tell: Tell) -> str:
    """Take the folder that `hand_out` has made on another host; return what there is now."""
    privileges.require_own_folders(paths.cache())
    return f"micro: {micro.take_in(folder.absolute(), paths.cache(), tell).folder}"


def _debian(name: str, tell: Tell, progress: Progress, mirrors: Sequence[str]) -> str:
    """Build a Debian from packages, and take it into the store."""
    from provisioner.host.image.debian.builder import DebianBuilder

    built = DebianBuilder(paths.cache(), tell, name, mirrors).build()
    there = store.find(paths.store(), name)
    if not there or there.record.digest != built.digest:
        traits = ImageTraits(
            boot=built.boot,
            user=built.user,
            min_memory_mib=built.min_memory_mib,
            agent=built.agent,
        )
        digest = Digest("sha256", built.digest)
        add(
            Path(built.disk),
            Origin(name, "built here from Debian's packages", traits, digest),
            tell,
            progress,
        )
    return f"{name}: {built.folder}"


def _every(name: str) -> list[StoredImage]:
    if not name:
        return [kept for folder, _ in _stores() for kept in store.every(folder)]
    if kept := stored(name):
        return [kept]
    raise store.unknown(name)


def _stores() -> list[tuple[Path, str]]:
    """Return the stores in which names are looked up, the user's own first."""
    own, shared = paths.store(), paths.shared_store()
    return [(own, "stored")] if own == shared else [(own, "stored"), (shared, "root's")]
