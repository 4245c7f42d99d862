"""vmnet -H: a command on another host, on the plan that is here, by ssh."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from provisioner.cli.completion import index
from provisioner.cli.run import option_value, running
from provisioner.commands.command import COMMANDS, unaliased
from provisioner.errors import bad_input

_FILES: Final = ("--file", "-f", "--plan", "-p")
_WITHOUT: Final = ("--name", "--uplink", "--print-plan", "--help", "-h")
"""With one of them no plan file is read."""
_SUFFIXES: Final = (".yaml", ".yml")
_AT_TERMINAL: Final = ("console", "cp", "exec", "ssh")
_INPUT: Final = "-"


def run(argv: Sequence[str]) -> NoReturn:
    """Let ssh take the place of vmnet, and vmnet there run the command; the plan is its input."""
    with running("-H"):
        from provisioner.host.system import plan_files, programs
        from provisioner.plan.hosts import login

        if not argv:
            raise bad_input("no host is named", "write vmnet -H root@h1 status")
        at = option_value("-H", login, argv[0])
        words, file = with_input(unaliased(argv[1:]))
        if file and file != Path(_INPUT):
            _give(plan_files.read(file))
        remote = shlex.join(["vmnet", *words])
        programs.become(["ssh", "-T", *at.argv, remote], "openssh-client")
    raise AssertionError  # the other program has taken its place


def _give(text: str) -> None:
    """Make a text the standard input; it is in memory alone."""
    fd = os.memfd_create("vmnet-plan")
    with open(fd, "w", encoding="utf-8", closefd=False) as file:
        file.write(text)
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    os.close(fd)


def with_input(words: Sequence[str]) -> tuple[list[str], Path | None]:
    """Return a command line whose plan is its standard input, and the plan; None without one.

    Raises VmnetError for a command that needs the terminal or has several plans.
    """
    if not words or words[0] not in COMMANDS:
        raise bad_input(
            f'"{words[0] if words else ""}" is no command', "vmnet --help lists all commands"
        )
    if words[0] in _AT_TERMINAL:
        raise bad_input(
            f"{words[0]} has the terminal for itself, and is not run on another host by -H",
            f"log in to that host, with ssh -t, and run it there: vmnet {words[0]} --help",
        )
    entries = index.read()
    verb = _verb(words, entries)
    options = entries[" ".join(words[:verb])]["options"]
    named = _plans(words, verb, options)
    if len(named) > 1:
        raise bad_input(
            f"{len(named)} plan files are named, and one can be given to another host",
            "write them as one plan",
        )
    given = list(words)
    if named:
        (place, file), *_ = named
        given[place] = _INPUT
        return given, file
    usual = [Path(f"vmnet{suffix}") for suffix in _SUFFIXES if Path(f"vmnet{suffix}").is_file()]
    if len(usual) != 1 or "--file" not in options or set(words) & set(_WITHOUT):
        return given, None
    return [*given[:verb], "--file", _INPUT, *given[verb:]], usual[0]


def _verb(words: Sequence[str], entries: "Mapping[str, index.Entry]") -> int:
    """Return how many words name the command: two in a group."""
    return 2 if " ".join(words[:2]) in entries and len(words) > 1 else 1


def _plans(
    words: Sequence[str], verb: int, options: "Mapping[str, index.Option]"
) -> list[tuple[int, Path]]:
    """Return where in a command line plans are named, and which."""
    found, place = [], verb
    while place < len(words) and words[place] != "--":
        word = words[place]
        if word in _FILES and word in options and place + 1 < len(words):
            found.append((place + 1, Path(words[place + 1])))
        elif word == _INPUT or (word.endswith(_SUFFIXES) and not word.startswith("-")):
            found.append((place, Path(word)))
        place += 2 if word in options and options[word]["valued"] else 1
    return found
