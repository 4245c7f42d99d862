"""The story of `vmnet image`: what is there, what comes in, what goes."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.host.image import in_use, micro, source_file, store, store_files
from provisioner.host.image.copy import Progress
from provisioner.host.image.store import Gone, Kept
from provisioner.host.system import paths
from provisioner.image import catalogue
from provisioner.image import record as images
from provisioner.image.listing import Row
from provisioner.image.record import Origin, Stored, Traits
from provisioner.text import one_line

Tell = Callable[[str], None]

_MIRROR: Final = re.compile(r"(?:https?|file)://?[!-Z^-~]+")
_OWN: Final = "debian"  # of the host's own release


def listed() -> list[Row]:
    """List the images that a plan can name: built, stored, and such as can be pulled."""
    used = in_use.in_use(paths.state())
    found = micro.find(paths.cache()) or micro.find(paths.shared_cache())
    rows = {name: Row(name, "can be pulled") for name in catalogued()}
    rows["micro"] = Row("micro", "built" if found else "not built")
    for folder, state in reversed(_stores()):
        for kept in store.every(folder):
            record = kept.record
            rows[record.name] = Row(record.name, state, record, used.get(record.digest, ()))
    return [rows[name] for name in sorted(rows)]


def find(name: str) -> Kept:
    """Give an image as `stored` does. Raises VmnetError when there is none, too."""
    if kept := stored(name):
        return kept
    raise store.unknown(name)


def stored(name: str) -> Kept | None:
    """Give an image of the user's store, or else of root's; None when there is none.

    Whoever makes a disk on it holds the store meanwhile (`store_files.held`), lest it goes. Raises
    VmnetError when its content is gone.
    """
    found = (store.find(folder, name) for folder, _ in _stores())
    return next((kept for kept in found if kept), None)


def add(file: Path, origin: Origin, tell: Tell, progress: Progress, *, shown: str = "") -> Stored:
    """Take an image file into the store: copied, hashed, judged. Raises VmnetError or Complaints.

    The file is unpacked when it is gz, xz, bz2 or a tar of one image. `shown` names it in messages,
    where that is not its path.
    """
    images.require_name(origin.name)
    kind = images.known_digest(origin.digest)[0] if origin.digest else "sha256"
    before = {k.record.name: k.record.digest for k in store.every(paths.store())}
    with source_file.opened(file, kind, shown=shown) as given:
        record = store.add(paths.store(), given, origin, tell, progress)
    if before.get(origin.name, record.digest) != record.digest:
        tell(f"{origin.name} was another image before; disks of plans that run keep that one")
    return record


def catalogued() -> tuple[str, ...]:
    """Name the images of the catalogue."""
    return tuple(entry.name for entry in catalogue.packaged().images)


def verify(name: str, tell: Tell, progress: Progress) -> Iterator[str]:
    """Hash an image's content anew, or those of all without a name; give the names of good ones.

    Raises Complaints about all that are not what was imported, after the last.
    """
    bad, judged = [], dict[Path, VmnetError | None]()
    with store_files.held(paths.store(), tell):
        for kept in [find(name)] if name else _every():
            if kept.path not in judged:
                judged[kept.path] = _verified(kept, progress)
            if error := judged[kept.path]:
                bad.append(error)
            else:
                yield kept.record.name
    if bad:
        raise Complaints(bad)


def remove(name: str, tell: Tell) -> Gone:
    """Take an image's name away, and its content with its last name. Raises VmnetError."""
    if name in images.BUILT_IN:
        raise VmnetError(
            f"{name} is not an image in the store",
            fix=f"it lies below {paths.cache() / 'images'}, which is safe to delete",
            status=Exit.BAD_INPUT,
        )
    folder = paths.store()
    with store_files.held(folder, tell, alone=True):
        return store.remove(folder, name, in_use.in_use(paths.state()))


def prunable() -> list[Gone]:
    """List what no disk of a plan leans on."""
    return store.unused(paths.store(), in_use.in_use(paths.state()))


def prune(agreed: Sequence[Gone], tell: Tell) -> list[Gone]:
    """Take away what was agreed on and is unused still; give what went."""
    folder = paths.store()
    with store_files.held(folder, tell, alone=True):
        return store.prune(folder, agreed, in_use.in_use(paths.state()))


def build(name: str, tell: Tell, progress: Progress, mirrors: Sequence[str] = ()) -> str:
    """Build an image by its recipe; say what was built. Raises VmnetError.

    "debian" is the one of the host's own release. The packages of a Debian come from `mirrors`
    when some are named, from the host's own mirror otherwise.
    """
    from provisioner.host.image.debian import recipe

    suites = recipe.suites()
    if name != "micro" and name not in {_OWN, *suites}:
        known = ", ".join(f'"{each}"' for each in ("micro", _OWN, *suites))
        raise VmnetError(
            f'there is no recipe for an image "{one_line(name, 80)}"',
            fix=f"the images that vmnet can build: {known}",
            status=Exit.BAD_INPUT,
        )
    if bad := [uri for uri in mirrors if not _MIRROR.fullmatch(uri)]:
        raise VmnetError(
            f'"{one_line(bad[0], 80)}" is not the address of a mirror',
            fix="write it as in a line of sources.list: http://HOST/debian",
            status=Exit.BAD_INPUT,
        )
    if name != "micro":
        return _debian(recipe.own_name() if name == _OWN else name, tell, progress, mirrors)
    if mirrors:
        raise VmnetError(
            "micro is made of the host's own packages, whatever mirror is named",
            fix="leave --mirror out, or build a debian",
            status=Exit.BAD_INPUT,
        )
    return f"micro: {micro.build(paths.cache(), tell).kernel.parent}"


def _debian(name: str, tell: Tell, progress: Progress, mirrors: Sequence[str]) -> str:
    """Build a Debian from packages, and take it into the store."""
    from provisioner.host.image import debian

    built = debian.build(paths.cache(), tell, name, mirrors)
    there = store.find(paths.store(), name)
    if not there or there.record.digest != built.digest:
        traits = Traits(
            boot=tuple(built.boot),
            user=built.user,
            min_memory_mib=built.min_memory_mib,
            agent=built.agent,
        )
        origin = Origin(name, "built here from Debian's packages", traits, f"sha256:{built.digest}")
        add(built.path, origin, tell, progress)
    return f"{name}: {built.path.parent}"


def _verified(kept: Kept, progress: Progress) -> VmnetError | None:
    try:
        store.verify(kept, progress)
    except VmnetError as error:
        return error
    return None


def _every() -> list[Kept]:
    return [kept for folder, _ in _stores() for kept in store.every(folder)]


def _stores() -> list[tuple[Path, str]]:
    """Give the stores in which names are looked up, the user's own first."""
    own, shared = paths.store(), paths.shared_store()
    return [(own, "stored")] if own == shared else [(own, "stored"), (shared, "root's")]
