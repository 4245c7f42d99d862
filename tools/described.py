"""Commands as typer describes them, in plain words: for manual pages and for the documentation."""

from collections.abc import Iterator
from typing import Any, Final

import typer

from provisioner.cli.app import built
from provisioner.cli.help.values import called
from provisioner.errors import Exit

Words = tuple[str, ...]
"""The words of a command: ("vmnet", "boot", "install")."""

STATUSES: Final = {
    f"{Exit.DONE:d}": "Done.",
    "1": "A bug of vmnet's own.",
    f"{Exit.BAD_INPUT:d}": "Bad input; nothing was touched.",
    f"{Exit.CONFLICT:d}": "A conflict with something that is not vmnet's.",
    f"{Exit.HOST_CANNOT:d}": "The host cannot.",
    f"{Exit.CHECK_FAILED:d}": "A check failed.",
    f"{Exit.PARTLY_DONE:d}": "Partly done.",
    "130, 143, 129": "Ended by Ctrl-C, SIGTERM, SIGHUP.",
}


def commands() -> Iterator[tuple[Words, Any]]:
    """Give each command that is not hidden, groups before their commands."""
    yield from _below(typer.main.get_command(built()), ("vmnet",))


def _below(command: Any, words: Words) -> Iterator[tuple[Words, Any]]:  # noqa: ANN401
    if command.hidden:
        return
    yield words, command
    for name, nested in getattr(command, "commands", {}).items():
        yield from _below(nested, (*words, name))


def synopsis(command: Any) -> list[tuple[str, bool, bool]]:  # noqa: ANN401
    """Return the arguments: what each is called, whether it is needed, whether it repeats."""
    return [
        (value(param), param.required, param.nargs == -1)
        for param in command.params
        if param.param_type_name == "argument"
    ]


def shown(command: Any) -> list[Any]:  # noqa: ANN401
    """Return the arguments and options that help tells of."""
    return [p for p in command.params if not getattr(p, "hidden", False) and p.help]


def names(param: Any) -> list[str]:  # noqa: ANN401
    """Return the spellings of an option, short ones first."""
    return sorted((*param.opts, *param.secondary_opts), key=lambda x: (x.startswith("--"), x))


def takes_value(param: Any) -> bool:  # noqa: ANN401
    """Tell whether an option has a value."""
    return not (param.is_flag or param.count)


def value(param: Any) -> str:  # noqa: ANN401
    """Return what the value of an argument or option is called."""
    return str(param.metavar or called(param.name or "")).strip("[]. ")


def about(param: Any) -> str:  # noqa: ANN401
    """Return what an argument or option is for, its default and its environment variable."""
    said = f"{param.help.rstrip('.')}."
    if default := _default(param):
        said += f" Default: {default}."
    if param.envvar:
        said += f" From {param.envvar}, too."
    return said


def _default(param: Any) -> str:  # noqa: ANN401
    """Return the value that is taken when none is given, "" where there is none to name."""
    if isinstance(param.show_default, str):
        return param.show_default
    is_value = isinstance(param.default, str | float | int) and not getattr(param, "is_flag", False)
    return str(param.default) if is_value else ""


def example(command: Any) -> str:  # noqa: ANN401
    """Return the command line that ends a command's help, "" where it has none."""
    return (command.epilog or "").removeprefix("Example: ")


def first(text: str) -> str:
    """Return the first paragraph of a help text, on one line."""
    return text.partition("\n\n")[0].replace("\n", " ").strip()
