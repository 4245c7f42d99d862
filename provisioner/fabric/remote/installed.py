"""What installing vmnet has changed on hosts, taken from what Ansible tells of its tasks."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from difflib import ndiff
from itertools import islice
from typing import Annotated, Any, Final, TypedDict

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.fabric.facts import Silent
from provisioner.json_document import json_document
from provisioner.text import one_line

_LONGEST: Final = 400  # characters of a text of a host
_MOST_LINES: Final = 50  # of what differs in one change
_MOST_TEXT: Final = 20_000  # characters of a file that are compared
COMMAND: Final = "hosts bootstrap"


@dataclass(frozen=True, slots=True)
class InstalledHost:
    """A host: what was changed there, or would be, and why it did not come to an end; "" if so.

    `diff` are the lines that differ, each change above its own, where they were asked for.
    """

    name: str
    changes: tuple[str, ...] = ()
    why: str = ""
    diff: tuple[str, ...] = ()


class InstalledHostValue(TypedDict):
    """A host in a document: `why` says what has kept it from being ready, "" where it is."""

    name: str
    changes: list[str]
    why: str
    diff: Annotated[list[str], "With --diff: each change, and below it the lines that differ."]


class BootstrapDocument(TypedDict):
    """What vmnet hosts bootstrap writes with --json."""

    hosts: list[InstalledHostValue]


def change(about: Mapping[str, Any]) -> str:
    """Return what a task has changed, "" for nothing; `about` is what is told of it."""
    result = about.get("res")
    if not isinstance(result, Mapping) or result.get("changed") is not True:
        return ""
    named = one_line(str(about.get("task")), _LONGEST)
    message = result.get("msg") if about.get("task_action") == "ansible.builtin.debug" else None
    return f"{named}: {one_line(message, _LONGEST)}" if isinstance(message, str) else named


def differences(about: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines in which a task differs from what was there, or the program that it runs."""
    result = about.get("res")
    if not isinstance(result, Mapping):
        return
    found = result.get("diff")
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, Mapping):
            lines = ndiff(_lines(one.get("before")), _lines(one.get("after")))
            kept = (line for line in lines if line[0] in "+-")
            yield from islice(map(_shown, kept), _MOST_LINES)
    command = result.get("cmd")
    if not found and isinstance(command, list):
        yield _shown(f"+ {shlex.join(map(str, command))}")


def _lines(said: object) -> list[str]:
    """Return a text, or what is known of a file, as lines."""
    if isinstance(said, Mapping):
        return [f"{key}: {value}" for key, value in sorted(said.items(), key=str)]
    return said[:_MOST_TEXT].splitlines() if isinstance(said, str) else []


def _shown(line: str) -> str:
    return one_line(line, _LONGEST)


def failure(about: Mapping[str, Any]) -> str:
    """Return why a task has failed, as the host or Ansible says it."""
    result = about.get("res")
    told = result if isinstance(result, Mapping) else {}
    lines = str(told.get("stderr") or told.get("module_stderr") or "").strip().splitlines()
    words = " ".join(filter(None, [str(told.get("msg") or "").strip(), *lines[-3:]]))
    return f"{one_line(str(about.get('task')), _LONGEST)}: {one_line(words, _LONGEST)}"


def ended(
    name: str,
    changes: Sequence[str],
    said: Silent | None,
    diff: Sequence[str] = (),
    *,
    is_over: bool,
) -> InstalledHost:
    """Return what has come of a host: `said` is why it was lost, `is_over` that all was done."""
    why = said.why if said else "" if is_over else "it has not come to an end in time"
    return InstalledHost(name, tuple(changes), why, tuple(diff))


def complaints(hosts: Sequence[InstalledHost]) -> list[VmnetError]:
    """Return an error for each host that is not ready: PARTLY_DONE where another one is."""
    status = Exit.HOST_CANNOT if all(host.why for host in hosts) else Exit.PARTLY_DONE
    return [
        VmnetError(
            f"vmnet is not installed on {host.name}: {host.why}",
            fix="mend that, and run it again: vmnet hosts bootstrap",
            status=status,
        )
        for host in hosts
        if host.why
    ]


def summary(host: InstalledHost, *, is_check: bool) -> str:
    """Return a line for a host that is ready, or that could be looked at."""
    if not host.changes:
        return f"{host.name}: nothing to change"
    count = f"{len(host.changes)} change{'s' if len(host.changes) > 1 else ''}"
    return f"{host.name}: {count} to make" if is_check else f"{host.name}: {count} made"


def as_json(hosts: Sequence[InstalledHost], ends: Exit) -> str:
    """Return what was changed as a document."""
    values = [
        InstalledHostValue(
            name=host.name, changes=list(host.changes), why=host.why, diff=list(host.diff)
        )
        for host in hosts
    ]
    return json_document(COMMAND, ends, {**BootstrapDocument(hosts=values)})
