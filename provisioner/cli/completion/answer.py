"""Answers to a shell's question, in the protocol of the scripts that typer installs in it.

The scripts are those of `vmnet --install-completion`: they run vmnet with _VMNET_COMPLETE, which
names the shell, and with the words so far in further variables (typer/_completion_shared.py).
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from provisioner.cli.completion import index, values
from provisioner.cli.completion.index import Entry, Index
from provisioner.commands.command import unaliased


def answered(environment: Mapping[str, str]) -> tuple[str, int] | None:
    """Return what to print for a shell, and the exit status; None for one that is not known."""
    match environment.get("_VMNET_COMPLETE"):
        case "complete_bash":
            words = _split(environment.get("COMP_WORDS", ""))
            at = int(environment.get("COMP_CWORD", "0"))
            found = matching(index.read(), words[1:at], next(iter(words[at:]), ""))
            return "".join(f"{word}\n" for word in found), 0
        case "complete_zsh":
            found = matching(index.read(), *_typed(environment))
            listed = "\n".join(_for_zsh(word, what) for word, what in found.items())
            return (f"_arguments '*: :(({listed}))'\n" if found else "_files\n"), 0
        case "complete_fish":
            found = matching(index.read(), *_typed(environment))
            if environment.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
                return "", 0 if found else 1  # 1: fish offers files
            return "".join(f"{word}\t{what}\n" for word, what in found.items()), 0
        case _:
            return None


def _split(line: str) -> list[str]:
    """Split a command line that may end within quotes."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:
        words.append(lexer.token)
    return words


def _typed(environment: Mapping[str, str]) -> tuple[list[str], str]:
    line = environment.get("_TYPER_COMPLETE_ARGS", "")
    words = _split(line)[1:]
    return (words[:-1], words[-1]) if words and not line.endswith(" ") else (words, "")


def _for_zsh(word: str, what: str) -> str:
    def escaped(text: str) -> str:
        text = text.replace('"', '""').replace("'", "''")
        return re.sub("[$`]", r"\\\g<0>", text).replace(":", r"\\:")

    return f'"{escaped(word)}"' + (f':"{escaped(what)}"' if what else "")


def matching(of: Index, before: Sequence[str], begun: str) -> dict[str, str]:
    """Return the words that can stand where `begun` is, with what each is for.

    None where a file, or a name that only the plan has, is meant.
    """
    before = [word for word in before if word != "="]  # bash takes --mode=vepa for three words
    begun = "" if begun == "=" else begun
    if begun.startswith("--") and "=" in begun:
        option, _, begun = begun.partition("=")
        before.append(option)
    if "--" in before:
        return {}
    entry, given = _reached(of, before)
    last = entry["options"].get(before[-1]) if before else None
    if last and last["valued"]:
        found = dict.fromkeys(last["choices"] or values.of_kind(last["kind"], before), "")
    elif begun.startswith("-"):
        found = {
            word: option["help"]
            for word, option in entry["options"].items()
            if option["repeats"] or word not in before
        }
    else:
        found = dict(_words(of, entry, given, before))
    return {word: what for word, what in found.items() if word.startswith(begun)}


def _reached(of: Index, before: Sequence[str]) -> tuple[Entry, list[str]]:
    """Return the entry of the command that the words name, and the arguments given to it."""
    path, given, skipped = "", list[str](), False
    for word in unaliased(before):
        entry = of[path]
        if skipped:
            skipped = False
        elif word.startswith("-"):
            skipped = word in entry["options"] and entry["options"][word]["valued"]
        elif word in entry["commands"]:
            path = f"{path} {word}".lstrip()
        else:
            given.append(word)
    return of[path], given


def _words(
    of: Index, entry: Entry, given: Sequence[str], before: Sequence[str]
) -> Iterator[tuple[str, str]]:
    path = next(name for name, each in of.items() if each is entry)
    for name in entry["commands"]:
        what = of[f"{path} {name}".lstrip()]["help"]
        yield name, what.partition("\n")[0].removesuffix(".")
    for choices in entry["arguments"][len(given) : len(given) + 1]:
        yield from dict.fromkeys(choices, "").items()
    for word in values.of_kind(_kind(entry, len(given)), before):
        if word not in given:
            yield word, ""


def _kind(entry: Entry, at: int) -> str:
    """Return what the argument at a position is, counted from 0; the last may be repeated."""
    kinds = entry["kinds"]
    if at >= len(kinds) and kinds and kinds[-1].endswith("+"):
        at = len(kinds) - 1
    return kinds[at].removesuffix("+") if at < len(kinds) else ""
