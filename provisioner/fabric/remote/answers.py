"""A command for vmnet on another host, and its answer, of which nothing is believed unseen."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from provisioner.dataclass import dataclass
from provisioner.fabric.facts import Silent
from provisioner.json_document import sanitized, strict
from provisioner.plan.hosts import Login
from provisioner.text import one_line, sanitize

MOST_ANSWER: Final = 16 << 20
"""How many characters a host can answer with: the report of a thousand VMs takes less."""

_MOST_WORDS: Final = 20_000  # of what is for people
_CLOCKS_S: Final = 5.0  # below that, clocks are called the same
_TIMED_OUT: Final = 124  # the exit status of timeout(1)
_MOST_STATUS: Final = 255


@dataclass(frozen=True, slots=True)
class Request:
    """A command for one host: words after `vmnet`, and the plan that it gets by standard input.

    The plan is a secret: no log and no process list shows it. Words are none. Without `login` it
    is Ansible's inventory that says how the host is logged in to.
    """

    words: tuple[str, ...]
    plan: str = field(default="", repr=False)
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """How a command on a host has ended: its status, what it has printed, when it has begun.

    `document` is the JSON that it has printed, None when that is not JSON; its texts are harmless
    to a terminal, and nothing else in it is checked. `clock` is what the host took for the time,
    in seconds since 1970, `clock_error_s` how many seconds that is certainly wrong.
    """

    status: int
    stdout: str
    stderr: str
    document: Mapping[str, Any] | None = None
    seconds: float = 0.0
    clock: float = 0.0
    clock_error_s: float = 0.0
    changed: bool = False

    @property
    def has_wrong_clock(self) -> bool:
        """Return whether the host's clock is wrong by some seconds, for certain."""
        return self.clock_error_s > _CLOCKS_S


def answered(said: object, began: float, now: float) -> HostAnswer | Silent:
    """Return what the module has returned from a host, Silent when that cannot be.

    The command was run between `began` and `now`, by the clock of this host.
    """
    if not isinstance(said, Mapping):
        return Silent("it has returned nothing")
    status, stdout, stderr = (said.get(key) for key in ("rc", "stdout", "stderr"))
    if type(status) is not int or not (isinstance(stdout, str) and isinstance(stderr, str)):
        return Silent(_why(said))
    if not 0 <= status <= _MOST_STATUS:
        return Silent(f"vmnet there has ended with {status}, which is no exit status")
    if status == _TIMED_OUT:
        return Silent("vmnet there has not come to an end in time")
    if len(stdout) > MOST_ANSWER:
        return Silent(f"its answer is longer than {MOST_ANSWER} characters")
    clock = _number(said.get("clock"))
    return HostAnswer(
        status=status,
        stdout=sanitize(stdout),
        stderr=sanitize(stderr[-_MOST_WORDS:]),
        document=_document(stdout),
        seconds=_number(said.get("seconds")),
        clock=clock,
        clock_error_s=max(began - clock, clock - now, 0.0) if clock else 0.0,
        changed=said.get("changed") is True,
    )


def unreachable(said: object) -> Silent:
    """Return why a host was not reached, as Ansible tells it."""
    message = said.get("msg") if isinstance(said, Mapping) else None
    text = message if isinstance(message, str) else ""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("Warning")]
    why = " ".join(lines).strip().removeprefix("Task failed: ")
    return Silent(one_line(why or "it cannot be reached"))


def _why(said: Mapping[str, object]) -> str:
    """Return why the module has not run vmnet: its words, and those of a Python that is none."""
    texts = [str(said.get(key) or "").strip() for key in ("msg", "module_stderr")]
    return one_line(": ".join(filter(None, texts)) or "it has returned no answer of vmnet")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _document(text: str) -> Mapping[str, Any] | None:
    try:
        found = sanitized(strict(text))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
