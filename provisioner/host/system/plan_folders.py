"""The folders and files of one plan: marked when vmnet makes them, and only then taken away.

A folder holds a file `.vmnet` (plan_marks.py) from its first moment: it is made under another name
and renamed. A file NAME that a guest or a server uses has a `.NAME.own` beside it, which
is made before it: empty, or a `FileRecord` as JSON.
"""

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.host.system import file_errors, paths, plan_marks, whole_files
from provisioner.host.system.plan_marks import MARK
from provisioner.inventory.plan_mark import PlanMark
from provisioner.network import dnsmasq
from provisioner.text import one_line

_OWNED: Final = ("console", "seed", "disk", "boot", "dhcp", "snapshot")
_MARKED: Final = {"seed": "*", "disk": "*", "boot": "*", "dhcp": "*.conf"}
"""Files that are not made by others than vmnet once they have been marked, by folder."""
_FOLDERS: Final = get_args(paths.Folder)
_FILES: Final = frozenset(
    {MARK, f"{MARK}.part", "known_hosts", ".known_hosts.part", *paths.LOGIN_FILES}
)
_MARKS: Final = frozenset({MARK, f"{MARK}.part"})
_ROOT: Final = ("etc", "cache", "lib", "log", "run")
_PAIR: Final = frozenset({"key", "key.pub"})
_OWN: Final = ".own"
_MOST_RECORD: Final = 4096


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What stands in the mark beside a file of a guest's; an older vmnet has left it empty."""

    plan: str = ""
    vm: str = ""
    image: str = ""  # what the plan called the image below a disk
    made: int = 0  # in seconds since 1970
    stopped: int = 0  # of a console log: when vmnet has stopped the guest; 0 for never
    leaving: str = ""  # of a console log: the host that the guest is given to, where it may run
    came: str = ""  # of a disk, or its draft: SHA-256 of what has come from another host
    keep: bool = True  # what a guest has written is kept where nothing else is known


def is_marked(folder: Path, plan: str) -> bool:
    """Return whether vmnet made a folder for this plan."""
    mark = plan_marks.read(folder)
    return mark is not None and mark.plan == plan


def refuse_foreign(folder: Path, plan: str) -> None:
    """Raise VmnetError, status CONFLICT, when a plan's folder is there and not vmnet's."""
    if os.path.lexists(folder) and not is_marked(folder, plan):
        raise VmnetError(
            f"{folder} is in the way: vmnet has not made it for the plan {plan}",
            fix=f"move it away or rename the plan; if vmnet did make it, mark it "
            f"(echo {plan} > {folder}/{MARK})",
            status=Exit.CONFLICT,
        )


def make(folder: Path, plan: str, mark: PlanMark | None = None) -> None:
    """Make a plan's folder with its mark in it, which may be given; one that is there must have it.

    Raises VmnetError when it cannot be made, or is not vmnet's.
    """
    if is_marked(folder, plan):
        return
    refuse_foreign(folder, plan)
    draft = _draft(folder)
    try:
        paths.make(folder.parent)
        draft.mkdir(exist_ok=True)
        if _names(draft) - _MARKS:
            refuse_foreign(draft, plan)
        plan_marks.write(draft, mark or plan_marks.new(plan))
        draft.rename(folder)
    except OSError as error:
        raise file_errors.converted(error, "cannot make the folder", folder) from error


def own(path: Path, values: Mapping[str, object] | None = None) -> None:
    """Mark a file as vmnet's before it is made, with the values of its record.

    Raises OSError; VmnetError when one is there.
    """
    if is_own(path):
        if values:
            write_record(path, values)
        return
    if os.path.lexists(path):
        raise VmnetError(
            f"{path} is in the way: vmnet has not made it",
            fix=f"move it away: mv {path} ELSEWHERE",
            status=Exit.CONFLICT,
        )
    paths.make(path.parent)
    _mark(path).touch(0o600)  # first: its own draft is known by it
    if values:
        write_record(path, values)


def record(path: Path) -> FileRecord:
    """Return what was recorded of a file when it was made; what cannot be read is left out."""
    found = _recorded(path)
    plan, vm, image, leaving, came = (
        one_line(str(found.get(key, ""))) for key in ("plan", "vm", "image", "leaving", "came")
    )
    times = (found.get(key) for key in ("made", "stopped"))
    made, stopped = (at if isinstance(at, int) else 0 for at in times)
    keep = found.get("keep") is not False
    return FileRecord(plan, vm, image, made, stopped, leaving, came, keep=keep)


def write_record(path: Path, values: Mapping[str, object]) -> None:
    """Change values of the record of a file; the others stay. Raises OSError."""
    found = _recorded(path)
    if found != (changed := {**found, **values}):
        whole_files.write_secret(_mark(path), json.dumps(changed).encode())


def _recorded(path: Path) -> dict[str, object]:
    try:
        with _mark(path).open("rb") as file:
            found = json.loads(file.read(_MOST_RECORD) or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_own(path: Path) -> bool:
    """Return whether vmnet marked a file when it made it."""
    return _mark(path).is_file()


def disown(path: Path) -> None:
    """Remove the mark of a file that has gone."""
    _mark(path).unlink(missing_ok=True)


def drafts(home: Path) -> Iterator[Path]:
    """Return what a run left which was killed while it made a file: drafts, marks of no file."""
    for place in _OWNED:
        for draft in sorted((home / place).glob(".*.part")):  # of a file, or of its mark
            if is_own(draft.with_name(_drafted(draft.name))):
                yield draft
    for place, files in _MARKED.items():
        for mark in sorted((home / place).glob(f".{files}{_OWN}")):
            file = mark.with_name(_drafted(mark.name))
            if not os.path.lexists(file) and not draft_of(file).exists():
                yield mark


def draft_of(file: Path) -> Path:
    """Return where a file is written before it gets its name."""
    return file.with_name(f".{file.name}.part")


def discard(draft: Path) -> None:
    """Delete one of these; a file of that name which somebody makes then would not be vmnet's."""
    if draft.suffix != _OWN:
        draft.unlink(missing_ok=True)
    give_up(draft.with_name(_drafted(draft.name)))


def give_up(file: Path) -> None:
    """Take away the mark of a file that has not been made, and what goes with it."""
    if file.parent.name in _MARKED and not os.path.lexists(file):
        if file.parent.name == "dhcp":
            _discard_of_dhcp(file)
        disown(file)


def _discard_of_dhcp(config: Path) -> None:
    for path in (draft_of(config), config.with_suffix(".pid")):
        path.unlink(missing_ok=True)
    network = dnsmasq.network_of(config.name)
    lease = config.with_name(f"{network}.leases")
    left = {dnsmasq.network_of(x.name) for x in config.parent.glob("*.conf")}
    if network not in left and is_own(lease):
        lease.unlink(missing_ok=True)
        disown(lease)


def _drafted(name: str) -> str:
    """Return of which file of ours a draft is; a console log has a second file, LOG.1."""
    own = name.removeprefix(".").removesuffix(".part")
    if own.endswith(_OWN):  # the draft of its mark
        return own.removeprefix(".").removesuffix(_OWN)
    return own.removesuffix(".1")


def foreign(plan: str) -> Iterator[Path]:
    """Return what is in a plan's folder and is not vmnet's; the folder itself when it is not."""
    home = paths.home(plan)
    if os.path.lexists(home) and not is_marked(home, plan):
        yield home
        return
    for path in _below(home):
        if path.name in _FOLDERS and path.is_dir() and not path.is_symlink():
            yield from (x for x in _below(path) if not _is_known(x))
        elif path.name not in _FILES:
            yield path


def clear(plan: str, kept: Collection[Path] = ()) -> None:
    """Remove a plan's own folder, known names only, when all that it was made for has ended.

    A folder without vmnet's mark stays as it is, and so does whatever vmnet does not know in one
    that has it, what is in `kept`, with its mark, and snapshots.
    """
    home = paths.home(plan)
    _retire(home)
    if not is_marked(home, plan):
        return
    for place in _FOLDERS:
        for path in sorted(_cleared(home / place), key=lambda x: x.suffix == _OWN):
            if not {path, path.with_name(_drafted(path.name))} & {*kept}:
                _remove(path)  # a mark after its file
        with suppress(OSError):
            (home / place).rmdir()
    for name in _FILES - {MARK}:
        if home / name not in kept:
            (home / name).unlink(missing_ok=True)
    if _names(home) == {MARK}:
        _put_away(home)
    else:
        _end_expiry(home)


def _end_expiry(home: Path) -> None:
    """Take the expiry out of a mark: it was that of what was up, and what stays has none."""
    mark = plan_marks.read(home)
    if mark and mark.until:
        with suppress(OSError):
            plan_marks.write(home, replace(mark, until=0))


def _cleared(folder: Path) -> list[Path]:
    """Return what goes with a plan of what is in one of its folders; snapshots stay."""
    found = _below(folder)
    if folder.name == "node" or (folder.name == "snapshot" and any(map(is_own, found))):
        return []
    return [path for path in found if _is_known(path)]


def clear_root(plan: str) -> None:
    """Remove the root of a plan's embedded libvirt, if vmnet made it."""
    root = paths.libvirt_root(plan)
    _retire(root)
    if not is_marked(root, plan):
        return
    for name in _ROOT:
        _remove(root / name)
    (root / f"{MARK}.part").unlink(missing_ok=True)
    if _names(root) == {MARK}:
        _put_away(root)


def _put_away(folder: Path) -> None:
    """Remove a folder that holds its mark only; killed in between, the next run knows the rest."""
    with suppress(OSError):
        folder.rename(_draft(folder))
        _retire(folder)


def _retire(folder: Path) -> None:
    """Remove the draft of a folder; one that somebody has written into becomes the folder again."""
    draft = _draft(folder)
    with suppress(OSError):
        names = _names(draft)
        if names <= _MARKS:
            for name in _MARKS:
                (draft / name).unlink(missing_ok=True)
            draft.rmdir()
        elif MARK in names and not folder.exists():
            draft.rename(folder)


def _draft(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.new")  # no plan's name begins with a dot


def _mark(path: Path) -> Path:
    return path.with_name(f".{path.name}{_OWN}")


def _below(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _names(folder: Path) -> set[str]:
    return {x.name for x in folder.iterdir()}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_known(path: Path) -> bool:
    """Return whether a file in one of the folders of a marked home is vmnet's."""
    match path.parent.name:
        case "keys":
            return path.is_dir() and not path.is_symlink() and _names(path) <= _PAIR
        case "node":
            return bool(re.fullmatch(r"tap\d+", path.name)) and _is_number(path)
        case "dhcp":
            return _is_of_dhcp(path)
        case _:
            return _is_of_guest(path)


def _is_of_guest(path: Path) -> bool:
    name = path.name
    if name.startswith("."):
        return name.endswith(_OWN) or is_own(path.with_name(_drafted(name)))
    return is_own(path) or is_own(path.with_name(name.removesuffix(".1")))


def _is_of_dhcp(path: Path) -> bool:
    if path.suffix == _OWN or is_own(path):
        return True
    config = path.with_suffix(".conf")
    return bool(dnsmasq.network_of(config.name)) and is_own(config)


def _is_number(path: Path) -> bool:
    with suppress(OSError):
        return one_line(path.read_text(encoding="ascii", errors="replace").strip()).isdecimal()
    return False
