"""What is told of an exception that nobody has foreseen: a bug of vmnet's."""

import traceback
from pathlib import Path
from typing import Final

from provisioner import redaction
from provisioner.errors import VmnetError, explain
from provisioner.text import one_line

STATUS: Final = 1
_MOST = 200  # characters of what it says
_HOUSE = Path(__file__).parents[2]


def told(error: BaseException) -> str:
    """Return the message about a bug: what happened, where, and how to report it."""
    lines = str(error).strip().splitlines()
    # Of a bug in the worker the message is the worker's traceback, whose last line says what it is.
    what = lines[-1] if len(lines) > 1 else f"{type(error).__name__}: {error}"
    if redaction.are_in(str(error)):
        what = f"{type(error).__name__}: {redaction.MASK}"
    found = VmnetError(
        f"vmnet itself has failed, which is a bug of its own: {one_line(what, _MOST)}{_at(error)}",
        fix="say --debug, or VMNET_DEBUG=1 in the environment, and report the Traceback that it "
        "prints, with the file of vmnet support; vmnet up goes on with what was begun, vmnet down "
        "takes it away",
    )
    return explain(found) + "\n"


def _at(error: BaseException) -> str:
    """Return the last place in vmnet's own code that the exception has come through."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(_HOUSE)
    ]
    return f" ({Path(own[-1].filename).relative_to(_HOUSE)}:{own[-1].lineno})" if own else ""
