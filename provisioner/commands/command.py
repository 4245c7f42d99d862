"""The commands of vmnet: what has to be known of each before its modules are imported."""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

from provisioner.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name on the command line, what it needs, and what it does."""

    name: str
    needs_worker: bool = True
    alone: tuple[str, ...] = ()  # options with which it needs no worker
    uses_libvirt: bool = True  # in the worker
    changes_host: bool = False  # takes steps; all others only look
    starts_guests: bool = False
    ends_guests: bool = False  # also in folders that others could write to
    judges_images: bool = False  # refuses images that the plan cannot be brought up with
    keeps_guards: bool = True  # puts back rules that a reload of the firewall has taken away
    lists_foreign: bool = False  # names files in the plan's folders that are not vmnet's

    def starts_worker(self, argv: Iterable[str]) -> bool:
        """Return whether the worker is needed for this command line."""
        options = set(takewhile(lambda word: word != "--", argv))
        return self.needs_worker and not options & {"--help", "-h", *self.alone}

    def __str__(self) -> str:
        """Return the name."""
        return self.name


UP: Final = Command(
    "up",
    alone=("--print-plan",),
    changes_host=True,
    starts_guests=True,
    judges_images=True,
    keeps_guards=False,  # as one of its steps
)
DOWN: Final = Command(
    "down", changes_host=True, ends_guests=True, keeps_guards=False, lists_foreign=True
)
STOP: Final = Command("stop", changes_host=True, ends_guests=True)
START: Final = Command("start", changes_host=True, starts_guests=True, judges_images=True)
RESTART: Final = Command("restart", changes_host=True, starts_guests=True, judges_images=True)
PAUSE: Final = Command("pause", changes_host=True)
RESUME: Final = Command("resume", changes_host=True)
PLAN: Final = Command("plan", judges_images=True, keeps_guards=False)
STATUS: Final = Command("status", alone=("--watch",), keeps_guards=False, lists_foreign=True)
CHECK: Final = Command("check", alone=("--watch",), keeps_guards=False)
DOCTOR: Final = Command("doctor", alone=("--ci",))
HOST_FACTS: Final = Command("host-facts")
HOSTS: Final = Command("hosts", needs_worker=False)
MOVE: Final = Command(
    "move", changes_host=True, starts_guests=True, ends_guests=True, judges_images=True
)
DRAIN: Final = Command("drain", needs_worker=False)
RECEIVE: Final = Command("receive", changes_host=True, starts_guests=True, judges_images=True)
MODES: Final = Command("modes", uses_libvirt=False)
SSH: Final = Command("ssh")
CP: Final = Command("cp")
EXEC: Final = Command("exec")
CONSOLE: Final = Command("console")
LINK: Final = Command("link")
IP: Final = Command("ip")
SNAPSHOT: Final = Command("snapshot", changes_host=True, judges_images=True)
RENDER: Final = Command("render", needs_worker=False)
EXPLAIN: Final = Command("explain", needs_worker=False)
EXPORT: Final = Command("export", needs_worker=False)
LOGS: Final = Command("logs", needs_worker=False)
CAPTURE: Final = Command("capture", needs_worker=False)
IMAGE: Final = Command("image", needs_worker=False)
NET: Final = Command("net", needs_worker=False)
LS: Final = Command("ls")
GC: Final = Command("gc", changes_host=True, ends_guests=True, keeps_guards=False)
ADOPT: Final = Command("adopt")
EXTEND: Final = Command("extend")
BOOT: Final = Command("boot", needs_worker=False)
WATCH: Final = Command("watch", needs_worker=False)
SCHEMA: Final = Command("schema", needs_worker=False)
VALIDATE: Final = Command("validate", needs_worker=False)
INIT: Final = Command("init", needs_worker=False)
SUPPORT: Final = Command("support", needs_worker=False)
EVENTS: Final = Command("events", needs_worker=False)

COMMANDS: Final = {
    command.name: command
    for command in (
        *(UP, DOWN, PLAN, STATUS, CHECK, DOCTOR, MODES, SSH, CP, EXEC, CONSOLE, LINK, IP, RENDER),
        *(STOP, START, RESTART, PAUSE, RESUME),
        *(EXPLAIN, EXPORT, LOGS, CAPTURE, IMAGE, NET, BOOT, WATCH, LS, GC, EXTEND, ADOPT, SNAPSHOT),
        *(SCHEMA, VALIDATE, INIT, SUPPORT, EVENTS, HOST_FACTS, HOSTS),
        *(MOVE, DRAIN, RECEIVE),
    )
}
"""All of them, by name."""

ALIASES: Final = {
    "apply": "up",
    "deploy": "up",
    "destroy": "down",
    "list": "ls",
    "ps": "status",
}
"""Words of other tools, and the commands that they stand for; help and completion list none."""

_LISTING: Final = ("hosts", "image", "net", "snapshot")
"""Groups whose `ls` may be called `list`, too."""


def unaliased(argv: Sequence[str]) -> list[str]:
    """Return a command line with the command's own name in it, and that of a group's `ls`."""
    at = 1 if argv[:1] == ["--"] else 0
    words = [ALIASES.get(word, word) if n == at else word for n, word in enumerate(argv)]
    if words[at : at + 1] and words[at] in _LISTING and words[at + 1 : at + 2] == ["list"]:
        words[at + 1] = "ls"
    return words
