"""What the user wants to be shown: colours, how far things are, tracebacks of bugs."""

import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

from provisioner.dataclass import dataclass

if TYPE_CHECKING:
    from rich.console import Console

VARIABLE: Final = "VMNET_COLOR"
COLORS: Final = ("auto", "always", "never")
AUTO, ALWAYS, NEVER = COLORS


@dataclass(slots=True)
class Screen:
    """What is shown besides the report itself; a command line sets it before its command begins."""

    color: str = AUTO
    progress: bool = True
    quiet: bool = False  # of a report the failures and the last line, and nothing on the way
    timed: bool = False  # with how long each step took
    debug: bool = False

    def choose(self, color: str) -> None:
        """Take one of COLORS; typer's own texts, help and usage, are as coloured as ours."""
        self.color = color
        if color == ALWAYS:
            os.environ.pop("NO_COLOR", None)
            os.environ["FORCE_COLOR"] = "1"
        elif color == NEVER:
            os.environ["NO_COLOR"] = "1"

    def is_coloured(self, stream: TextIO) -> bool:
        """Return whether a stream gets colours and bold; NO_COLOR counts (https://no-color.org)."""
        by_itself = stream.isatty() and not os.environ.get("NO_COLOR")
        return self.color == ALWAYS or (self.color == AUTO and by_itself)

    def is_live(self) -> bool:
        """Return whether standard error shows how far things are."""
        return self.progress and sys.stderr.isatty()

    def console(self, stream: TextIO, *, width: int | None = None) -> "Console":
        """Return what writes to a stream, in colours only where they are wanted."""
        from rich.console import Console

        if not self.is_coloured(stream):
            return Console(file=stream, highlight=False, width=width, color_system=None)
        if self.color != ALWAYS:
            return Console(file=stream, highlight=False, width=width)
        return Console(
            file=stream,
            highlight=False,
            width=width,
            force_terminal=True,
            color_system="standard",
        )


SCREEN: Final = Screen()
