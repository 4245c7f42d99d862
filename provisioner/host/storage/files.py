"""The files of guests that QEMU opens by itself: seed images, disks, copies of what it starts with.

Each is made under a draft's name that no observer takes for a whole one, and is nobody else's to
read: 0600, and given to the user that QEMU runs as.
"""

import os
from collections.abc import Callable
from pathlib import Path

from provisioner.guest.domain import FileCopy, Overlay, Seed
from provisioner.host.guest import host_keys
from provisioner.host.storage import copies, disks, seeds
from provisioner.host.system import file_errors, paths, plan_folders, secret_files
from provisioner.host.system.secret_files import Owner


def create(plan: str, file: Seed | Overlay | FileCopy, owner: Owner | None) -> None:
    """Make a file: the whole of it under its name, or nothing. Raises VmnetError.

    `owner` gets it; None leaves it to whoever runs vmnet.
    """
    path = Path(file.path)
    try:
        plan_folders.own(path)
    except OSError as error:
        raise file_errors.told(error, "cannot write", path) from error
    try:
        _create(plan, file, owner)
    finally:
        if not os.path.lexists(path):
            plan_folders.disown(path)


def _create(plan: str, file: Seed | Overlay | FileCopy, owner: Owner | None) -> None:
    match file:
        case Seed():
            _create_seed(plan, file, owner)
        case Overlay():
            _made(Path(file.path), owner, lambda draft: disks.write(file, draft))
        case FileCopy():
            _made(Path(file.path), owner, lambda draft: copies.write(file, draft))


def _create_seed(plan: str, seed: Seed, owner: Owner | None) -> None:
    """Make a seed, and before it the key that the guest's ssh server is known by."""
    key = None
    if seed.host_key:
        key = host_keys.ensure(paths.keys(plan), seed.vm)
        host_keys.publish(paths.keys(plan), plan)
    seeds.create(seed, owner=owner, key=key)


def delete(file: Seed | Overlay | FileCopy) -> None:
    """Delete a file; one that is gone already is fine."""
    path = Path(file.path)
    path.unlink(missing_ok=True)
    plan_folders.disown(path)


def observe(plan: str) -> list[Seed | Overlay | FileCopy]:
    """List a plan's files: those that vmnet marked when it made them."""
    found: list[Seed | Overlay | FileCopy] = [
        *seeds.observe(paths.seeds(plan)),
        *disks.observe(paths.disks(plan)),
        *copies.observe(paths.boot(plan)),
    ]
    return [file for file in found if plan_folders.is_own(Path(file.path))]


def _made(path: Path, owner: Owner | None, write: Callable[[Path], None]) -> None:
    draft = path.with_name(f".{path.name}.part")
    try:
        paths.make(path.parent)
        draft.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        write(draft)
        handle = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            if owner:
                os.fchown(handle, *owner)
            os.fsync(handle)
        finally:
            os.close(handle)
        draft.rename(path)
        secret_files.sync(path.parent)
    except OSError as error:
        raise file_errors.told(error, "cannot write", path) from error
    finally:
        draft.unlink(missing_ok=True)
