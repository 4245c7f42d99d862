"""Copies of what QEMU starts guests with: kernels, variables of UEFI, Ignition files."""

import shutil
from pathlib import Path

from provisioner.core.resources import Copy


def write(copy: Copy, draft: Path) -> None:
    """Copy a file into the file `draft`. Raises OSError."""
    with draft.open("wb") as to, Path(copy.source).open("rb") as source:
        shutil.copyfileobj(source, to, 1 << 20)


def observe(folder: Path) -> list[Copy]:
    """List the copies in a plan's folder for them."""
    return [Copy(str(path)) for path in sorted(folder.glob("[!.]*"))]
