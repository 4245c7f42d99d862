"""The answer to a word that is no command, without the import of any."""

from typing import Final

from provisioner.cli.completion import index
from provisioner.commands.command import ALIASES, COMMANDS
from provisioner.errors import VmnetError, bad_input, explain
from provisioner.plan.scalars import meant
from provisioner.text import one_line

_ALL: Final = "vmnet --help lists all commands"
_OF_OTHER_TOOLS: Final = {
    "attach": "console",
    "create": "up",
    "delete": "down",
    "halt": "stop",
    "help": "--help",
    "kill": "stop",
    "login": "ssh",
    "poweroff": "stop",
    "reboot": "restart",
    "remove": "down",
    "rm": "down",
    "run": "up",
    "shell": "ssh",
    "shutdown": "stop",
    "stat": "status",
    "version": "--version",
}
"""Words of other tools that stand for no command, as ALIASES do: what is near to them by its
letters does something else ("shutdown" is near to "down"), and who means it should read what it
does first.
"""


def answer(word: str) -> str:
    """Return the message about a word that stands where a command belongs."""
    return explain(_unknown(word)) + "\n"


def _unknown(word: str) -> VmnetError:
    what = f'there is no command "{one_line(word, 60)}"'
    if known := _OF_OTHER_TOOLS.get(word):
        return bad_input(what, f'did you mean "{known}"? {_does(known)}{_ALL}')
    # "destory" is not "doctor": words of other tools are meant, too.
    if near := meant(word, (*COMMANDS, *ALIASES)):
        return bad_input(what, f"{near}{_ALL}")
    if "." in word or "/" in word:
        plan = one_line(word)
        return bad_input(what, f"if it is a plan, say what is to be done: vmnet up {plan}")
    return bad_input(what, "see what there is: vmnet --help")


def _does(command: str) -> str:
    """Return what a command does, "" for an option."""
    if command not in COMMANDS:
        return ""
    text = index.read()[command]["help"].rstrip(".")
    return f"({text[:1].lower()}{text[1:]}) "
