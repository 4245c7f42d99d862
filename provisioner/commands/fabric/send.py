"""vmnet image send: an image of this host, for `vmnet image receive` of another."""

import shutil
from typing import IO

from provisioner.commands.image import stored
from provisioner.host.image import store
from provisioner.host.image.store import StoredImage
from provisioner.host.system import file_errors
from provisioner.image.record import as_json


def record(name: str) -> str:
    """Return the record of an image. Raises VmnetError when there is none of this name."""
    return as_json(_kept(name).record).decode()


def content(name: str, start: int, into: IO[bytes]) -> None:
    """Write an image from its byte number `start` on. Raises VmnetError as `record` does."""
    path = _kept(name).path
    try:
        with path.open("rb") as file:
            file.seek(start)
            shutil.copyfileobj(file, into, 1 << 20)
            into.flush()
    except BrokenPipeError:
        raise  # whoever reads it has enough
    except OSError as error:
        raise file_errors.converted(error, "cannot read", path) from error


def _kept(name: str) -> StoredImage:
    kept = stored(name)
    if kept is None:
        raise store.unknown(name)
    return kept
