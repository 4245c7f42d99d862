"""Hooks of MkDocs: the page of all commands, and files outside docs that pages link to.

`docs/` is read in two places: in the repository, where a page may link to any file, and as a site
of pages alone. A file outside docs that a page links to is put into the site below `repository/`.
"""

import logging
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import described
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from provisioner.cli.help import shared

_ROOT: Final = Path(__file__).parents[1]
_OUTSIDE: Final = "repository"
_COMMANDS: Final = "reference/commands.md"
_LINK: Final = re.compile(r"(?<=\]\()(?![a-z]+:)([^)#\s]+)")
_ABOUT: Final = (
    "What `--help` says of each command, made from the program itself. "
    "See also [exit statuses](exit-statuses.md) and [environment](environment.md)."
)
_ROW: Final = re.compile(r"^\|.*$", re.MULTILINE)
_CODE: Final = re.compile(r"`[^`]+`")
_LOG: Final = logging.getLogger("mkdocs.hooks.docsite")  # strict: a warning fails the build


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of all commands, and what is linked to outside docs."""
    files.append(File.generated(config, _COMMANDS, content=commands_page()))
    todo = [file for file in files if file.src_uri.endswith(".md")]
    while todo:
        page = todo.pop()
        for target in _targets(page.content_string, _place(page.src_uri)):
            if files.get_file_from_path(_in_site(target)) is None and (_ROOT / target).is_file():
                there = str(_ROOT / target)
                added = File.generated(config, _in_site(target), abs_src_path=there)
                files.append(added)
                if target.endswith(".md"):
                    todo.append(added)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:  # noqa: ANN401
    """Write a page as MkDocs reads it: links lead to where the site has what they mean."""
    place = _place(page.file.src_uri)
    here = posixpath.dirname(page.file.src_uri) or "."

    def led(found: re.Match[str]) -> str:
        target = _joined(place, found[0])
        if not (_ROOT / target).is_file():
            _LOG.warning("%s links to %s, which is no file", place, found[0])
        return posixpath.relpath(_in_site(target), here)

    return _ROW.sub(_bars, _LINK.sub(led, markdown))


def _bars(row: re.Match[str]) -> str:
    """Take away the backslashes that bars in code of a table need in the repository alone."""
    return _CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0])


def _place(src_uri: str) -> str:
    """Return where a page of the site stands in the repository."""
    return src_uri.removeprefix(f"{_OUTSIDE}/") if _is_outside(src_uri) else f"docs/{src_uri}"


def _is_outside(src_uri: str) -> bool:
    return src_uri.startswith(f"{_OUTSIDE}/")


def _in_site(target: str) -> str:
    """Return where the site has a file of the repository."""
    inside = target.removeprefix("docs/")
    return inside if inside != target else f"{_OUTSIDE}/{target}"


def _targets(markdown: str, place: str) -> Iterator[str]:
    """Give the files outside docs that a page links to."""
    for found in _LINK.finditer(markdown):
        target = _joined(place, found[0])
        if not target.startswith("docs/"):
            yield target


def _joined(place: str, link: str) -> str:
    return os.path.normpath(posixpath.join(posixpath.dirname(place), link))


# --- the page of all commands ---------------------------------------------------------------------


def commands_page() -> str:
    """Return the reference of all commands, made from the commands themselves."""
    common = shared.options()
    parts = [
        "# Commands",
        _ABOUT,
        "## Options of all commands",
        "Of all but `vmnet exec`, whose words are a program's.",
        _table(common),
    ]
    everywhere = {_heading(param) for param in common}
    for words, command in described.commands():
        parts += _section(words, command, everywhere)
    return "\n\n".join(filter(None, parts)) + "\n"


def _section(words: described.Words, command: Any, told: set[str]) -> Iterator[str]:  # noqa: ANN401
    yield f"## {' '.join(words)}"
    for paragraph in (command.help or "").strip().split("\n\n"):
        yield _cell(" ".join(paragraph.split()))
    parts = [" ".join(words), "[OPTIONS]"] + ["COMMAND"] * hasattr(command, "commands")
    for name, is_needed, repeats in described.synopsis(command):
        argument = f"{name}{'...' * repeats}"
        parts.append(argument if is_needed else f"[{argument}]")
    yield f"    {' '.join(parts)}"
    yield _table([param for param in described.shown(command) if _heading(param) not in told])
    if line := described.example(command):
        yield f"Example: `{line}`"


def _table(params: Sequence[Any]) -> str:
    rows = [f"| `{_heading(p)}` | {_cell(described.about(p))} |" for p in params]
    return "\n".join(["| option | |", "|---|---|", *rows]) if rows else ""


def _heading(param: Any) -> str:  # noqa: ANN401
    if param.param_type_name == "argument":
        return described.value(param)
    name = f" {described.value(param)}" if described.takes_value(param) else ""
    return ", ".join(described.names(param)) + name


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
