"""A wheel of the vmnet that runs here, for hosts that are to get the same one.

However it was installed, its files and what is known of it make one; pip, make setup and the Debian
package keep no archive that could be passed on. The same files make the same bytes.
"""

import base64
import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError

_NAME: Final = "vmnet-provisioner"
_PACKAGE: Final = "provisioner"
_KEPT: Final = ("METADATA", "entry_points.txt")
_TAG: Final = "py3-none-any"
_WHEEL: Final = f"Wheel-Version: 1.0\nGenerator: vmnet\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)  # zip files know none that is earlier


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel, and the SHA-256 of its file, in hexadecimal digits."""

    path: Path
    digest: str


def made(folder: Path) -> Wheel:
    """Write the wheel of this vmnet into a folder.

    Raises VmnetError where vmnet runs without being installed.
    """
    try:
        known = distribution(_NAME)
    except PackageNotFoundError:
        raise VmnetError(
            "this vmnet is not installed, so no wheel can be made of it",
            fix="install it: make setup, or pip install .",
        ) from None
    about = f"{_NAME.replace('-', '_')}-{known.version}.dist-info"
    contents = {name: (path.read_bytes(), _mode(path)) for name, path in _files()}
    for name in _KEPT:
        contents[f"{about}/{name}"] = ((known.read_text(name) or "").encode(), 0o644)
    contents[f"{about}/WHEEL"] = (_WHEEL.encode(), 0o644)
    lines = [_line(name, content) for name, (content, _) in contents.items()]
    record = "".join(f"{line}\n" for line in [*lines, f"{about}/RECORD,,"])
    contents[f"{about}/RECORD"] = (record.encode(), 0o644)
    path = folder / f"{_NAME.replace('-', '_')}-{known.version}-{_TAG}.whl"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, (content, mode) in contents.items():
            entry = ZipInfo(name, _NO_TIME)
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, content, ZIP_DEFLATED)
    return Wheel(path, hashlib.sha256(path.read_bytes()).hexdigest())


def _files() -> Iterator[tuple[str, Path]]:
    """Return the files of the package by their names in the wheel; links are followed."""
    root = Path(str(files(_PACKAGE)))
    folders = [root]
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and path.name != "__pycache__":
                folders.append(path)
            elif path.is_file():
                yield f"{_PACKAGE}/{path.relative_to(root)}", path


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _line(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}"
