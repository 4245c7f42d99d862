"""The files of guests that QEMU opens by itself: seed images, disks, copies of what it starts with.

Each is made under a draft's name that no observer takes for a whole one, and is nobody else's to
read: 0600, and given to the user that QEMU runs as.
"""

import os
from collections.abc import Callable
from pathlib import Path

from provisioner.core.resources import Copy, Disk, Seed
from provisioner.host import (
    copies,
    disks,
    filefaults,
    hostkeys,
    places,
    planfolders,
    secretfiles,
    seeds,
)
from provisioner.host.secretfiles import Owner


def create(plan: str, file: Seed | Disk | Copy, owner: Owner | None) -> None:
    """Make a file: the whole of it under its name, or nothing. Raises VmnetError.

    `owner` gets it; None leaves it to whoever runs vmnet.
    """
    path = Path(file.path)
    try:
        planfolders.own(path)
    except OSError as error:
        raise filefaults.told(error, "cannot write", path) from error
    try:
        _create(plan, file, owner)
    finally:
        if not os.path.lexists(path):
            planfolders.disown(path)


def _create(plan: str, file: Seed | Disk | Copy, owner: Owner | None) -> None:
    match file:
        case Seed():
            _create_seed(plan, file, owner)
        case Disk():
            _made(Path(file.path), owner, lambda draft: disks.write(file, draft))
        case Copy():
            _made(Path(file.path), owner, lambda draft: copies.write(file, draft))


def _create_seed(plan: str, seed: Seed, owner: Owner | None) -> None:
    """Make a seed, and before it the key that the guest's ssh server is known by."""
    key = None
    if seed.host_key:
        key = hostkeys.ensure(places.keys(plan), seed.vm)
        hostkeys.publish(places.keys(plan), plan)
    seeds.create(seed, owner=owner, key=key)


def delete(file: Seed | Disk | Copy) -> None:
    """Delete a file; one that is gone already is fine."""
    path = Path(file.path)
    path.unlink(missing_ok=True)
    planfolders.disown(path)


def observe(plan: str) -> list[Seed | Disk | Copy]:
    """List a plan's files: those that vmnet marked when it made them."""
    found: list[Seed | Disk | Copy] = [
        *seeds.observe(places.seeds(plan)),
        *disks.observe(places.disks(plan)),
        *copies.observe(places.boot(plan)),
    ]
    return [file for file in found if planfolders.is_own(Path(file.path))]


def _made(path: Path, owner: Owner | None, write: Callable[[Path], None]) -> None:
    draft = path.with_name(f".{path.name}.part")
    try:
        places.make(path.parent)
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
        secretfiles.sync(path.parent)
    except OSError as error:
        raise filefaults.told(error, "cannot write", path) from error
    finally:
        draft.unlink(missing_ok=True)
