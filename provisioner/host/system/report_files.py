"""Files that a user asked for: a report is there whole, or not at all."""

import os
import tempfile
from pathlib import Path

from provisioner.errors import Exit, VmnetError


def write(path: Path, text: str) -> None:
    """Write a report, in place of what stood there. Raises VmnetError when it cannot be."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            file.write(text)
        try:
            Path(file.name).chmod(0o644)
            os.replace(file.name, path)  # noqa: PTH105  (both are in one directory)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _refusal(path, error) from error


def append(path: Path, text: str) -> None:
    """Add to a file that others add to as well. Raises VmnetError when it cannot be."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> VmnetError:
    return VmnetError(
        f"cannot write {path}: {error.strerror}",
        fix="name a file in a directory that is there and may be written to",
        status=Exit.HOST_CANNOT,
    )
