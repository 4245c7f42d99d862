"""Reading a plan from the disk."""

import stat
from pathlib import Path

from provisioner.errors import Exit, VmnetError

_MAX_BYTES = 5 << 20


def read(path: Path) -> str:
    """Give the text of a plan file.

    Raises VmnetError when it is not there, no regular file, larger than 5 MiB or no UTF-8.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise _bad(f"{path} is no regular file", "give the path of a plan: vmnet up FILE")
        if found.st_size > _MAX_BYTES:
            raise _bad(f"{path} is larger than 5 MiB", "a plan is a page of text: is it this one?")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise _bad(
            f"there is no plan {path}",
            "write one (see examples/pair.yaml), name another file, "
            "or go without: vmnet up --uplink NIC",
        ) from error
    except UnicodeDecodeError as error:
        raise _bad(f"{path} is not UTF-8 text (byte {error.start})", "save it as UTF-8") from error
    except OSError as error:
        raise _bad(
            f"cannot read {path}: {error.strerror}", "mend its rights or its path"
        ) from error


def _bad(what: str, fix: str) -> VmnetError:
    return VmnetError(what, fix=fix, status=Exit.BAD_INPUT)
