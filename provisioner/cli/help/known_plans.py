"""What is told of a plan that is not there: the plans that this host has."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from provisioner.errors import VmnetError
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.inventory.plan_mark import PlanMark

_ANY: Final = frozenset({"down", "pause", "resume", "status", "stop", "support"})
"""The commands whose --name takes any plan."""

_MADE: Final = frozenset(
    {"capture", "check", "console", "cp", "events", "exec", "ip", "link", "logs", "ssh"}
)
"""Those whose --name takes what `vmnet up --uplink` has made; any other plan has a file there."""

_OF_NEW_PLANS: Final = frozenset({"init", "plan", "up", "validate"})
_MOST = 3
_MOST_PATH = 4096


def helped(error: VmnetError, command: str) -> VmnetError:
    """Return the error of a command that has found no plan, with the plans that it could take."""
    if command in _OF_NEW_PLANS or not (words := _words(command)):
        return error
    more = ", …" if len(words) > _MOST else ""
    fix = f"name a plan of this host: {', '.join(words[:_MOST])}{more}; all: vmnet ls"
    return VmnetError(error.what, where=error.where, fix=fix, status=error.status)


def names() -> list[str]:
    """Return the names of the plans of this host."""
    from provisioner.host.system import plan_marks

    return [mark.plan for mark in plan_marks.every()]


def unknown(name: str, names: Sequence[str]) -> str:
    """Return the line about a plan's name that is not among those of this host."""
    more = ", …" if len(names) > _MOST else ""
    there = f"those that are there: {', '.join(names[:_MOST])}{more}; " if names else ""
    return f"there is no plan {one_line(name)} on this host: {there}see vmnet ls"


def _words(command: str) -> list[str]:
    from provisioner.host.system import plan_marks

    return [text for mark in plan_marks.every() if (text := _named(mark, command))]


def _named(mark: "PlanMark", command: str) -> str:
    """Return the words by which a command knows a plan, "" where it can know it by none."""
    file = one_line(shlex.quote(mark.file), _MOST_PATH) if mark.file else ""
    if command in _ANY:
        return f"--name {mark.plan}{f' ({file})' if file else ''}"
    if file:
        return f"--file {file}"
    return f"--name {mark.plan}" if command in _MADE and mark.words else ""
