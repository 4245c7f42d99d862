"""The answer to a word that is no command, without the import of any."""

from provisioner.commands.command import ALIASES, COMMANDS
from provisioner.errors import VmnetError, bad_input, explain
from provisioner.plan.scalars import meant
from provisioner.text import one_line


def answer(word: str) -> str:
    """Return the message about a word that stands where a command belongs."""
    return explain(_unknown(word)) + "\n"


def _unknown(word: str) -> VmnetError:
    what = f'there is no command "{one_line(word, 60)}"'
    # "destory" is not "doctor": words of other tools are meant, too.
    if near := meant(word, (*COMMANDS, *ALIASES)):
        return bad_input(what, f"{near}vmnet --help lists all commands")
    if "." in word or "/" in word:
        plan = one_line(word)
        return bad_input(what, f"if it is a plan, say what is to be done: vmnet up {plan}")
    return bad_input(what, "see what there is: vmnet --help")
