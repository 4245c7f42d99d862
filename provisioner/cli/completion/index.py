"""The index of vmnet's command line, index.json: commands, their options and what each is for.

It is made from the commands themselves, `make index`, so that what only has to name them need not
import and build all of them, which takes longer than to read a plan.
"""

import json
import re
from collections.abc import Iterator, Mapping
from enum import EnumType
from pathlib import Path
from typing import Any, Final, TypedDict

FILE: Final = Path(__file__).with_name("index.json")

_KINDS: Final = {
    **dict.fromkeys(("vm", "vms", "only", "jump"), "vm"),
    "nic": "nic",
    "uplink": "uplink",
    "image": "image",
    "mode": "mode",
}
_OF_GROUP: Final = {
    ("explain", "words"): "vm",
    ("down", "words"): "vm",
    ("ls", "plans"): "plan",
    ("gc", "plans"): "plan",
    ("ip", "nic"): "nic",
    ("image", "name"): "image",
    ("image", "names"): "image",
    ("image", "what"): "image",
}
_OTHER_NAMES: Final = frozenset({"net", "image", "adopt"})  # whose --name is no plan's


class Option(TypedDict):
    """An option: its first words of help, whether a value follows, the values when they are few.

    `kind` is what the value is where only a host or a plan knows it (values.py), else "".
    """

    help: str
    valued: bool
    choices: list[str]
    kind: str
    repeats: bool


class Entry(TypedDict):
    """A command or a group of commands, with its whole help and the panel that lists it.

    `arguments` are the values of each argument in turn, none where they are free; `kinds` what
    those are that a host or a plan knows, with a + where more of them may follow.
    """

    help: str
    panel: str
    options: dict[str, Option]
    arguments: list[list[str]]
    kinds: list[str]
    commands: list[str]


Index = Mapping[str, Entry]
"""Entries by the words behind "vmnet": "", "up", "image build"."""


def read() -> Index:
    """Return the index that was made."""
    index: Index = json.loads(FILE.read_text(encoding="utf-8"))
    return index


def made(root: Any) -> Index:  # noqa: ANN401  (typer keeps click's classes to itself)
    """Return the index of a command line, of which `root` is the outermost group."""
    return dict(_entries(root, ()))


def written(index: Index) -> str:
    """Return the text of index.json."""
    return json.dumps(index, indent=1, ensure_ascii=False) + "\n"


def _entries(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Entry]]:  # noqa: ANN401
    nested = getattr(command, "commands", {})
    options: dict[str, Option] = {}
    arguments, kinds = [], []
    for param in command.params:
        if param.param_type_name == "argument":
            arguments.append(_choices(param))
            kinds.append(_kind(param, path) + "+" * (param.nargs < 0))
        elif not param.hidden:
            option = Option(
                help=(param.help or "").partition(". ")[0].removesuffix("."),
                valued=not (param.is_flag or param.count),
                choices=_choices(param),
                kind=_kind(param, path),
                repeats=bool(param.multiple),
            )
            options |= dict.fromkeys((*param.opts, *param.secondary_opts), option)
    options.setdefault(
        "--help", Option(help="Help", valued=False, choices=[], kind="", repeats=False)
    )
    yield (
        " ".join(path),
        Entry(
            help=command.help or "",
            panel=getattr(command, "rich_help_panel", None) or "",
            options=options,
            arguments=arguments,
            kinds=kinds,
            commands=[name for name, each in nested.items() if not each.hidden],
        ),
    )
    for name, each in nested.items():
        yield from _entries(each, (*path, name))


def _choices(param: Any) -> list[str]:  # noqa: ANN401
    """Return the values that help tells all of: an enumeration's, or [up|down]."""
    kind = param.type_descriptor.annotation
    if isinstance(kind, EnumType):
        values: list[Any] = list(kind)
        return [str(each.value) for each in values]
    words = (param.metavar or "").strip("[]")
    return words.split("|") if re.fullmatch(r"[a-z-]+(\|[a-z-]+)+", words) else []


def _kind(param: Any, path: tuple[str, ...]) -> str:  # noqa: ANN401
    """Return what a value is that a host or a plan knows; "" for any other."""
    name, is_argument = param.name or "", param.param_type_name == "argument"
    group = path[0] if path else ""
    if is_argument and (kind := _OF_GROUP.get((group, name))):
        return kind
    if name == "name" and not is_argument and group not in _OTHER_NAMES:
        return "plan"
    return _KINDS.get(name, "")
