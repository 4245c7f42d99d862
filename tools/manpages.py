"""Write the manual pages of all commands, made from the command line itself, and vmnet.yaml(5).

tools/manpages.py FOLDER [DATE]
"""

import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import described

from provisioner import __version__
from provisioner.cli.app import PANELS
from provisioner.plan.schema.generate import plan_schema

_WIDTH: Final = 78  # columns of a line of source
_PLACES: Final = {
    "VMNET_STATE_DIR": "Disks, logs and marks of plans, instead of /var/lib/vmnet.",
    "VMNET_RUN_DIR": "Locks and the embedded libvirt, instead of /run/vmnet.",
    "VMNET_CACHE_DIR": "Images that can be made again, instead of /var/cache/vmnet.",
}
_NAMED: Final = ("networks", "vms")
"""The keys of a plan that hold parts by names."""

_ABOUT_PLANS: Final = (
    "A plan says which networks and virtual machines there are to be. It is YAML; values may hold "
    "variables of the environment, ${NAME} or ${NAME:-DEFAULT}."
)
_USUAL: Final = "\\fIvmnet.yaml\\fR, \\fIvmnet.yml\\fR"
_BESIDE_PLANS: Final = "\\fBvmnet\\fR(1), \\fBvmnet\\-validate\\fR(1), \\fBvmnet\\-schema\\fR(1)"

Json = dict[str, Any]


def main(folder: Path, date: str) -> None:
    """Write all pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for words, command in described.commands():
        name = "-".join(words)
        (folder / f"{name}.1").write_text(_page(name, words, command, date), encoding="utf-8")
    (folder / "vmnet.yaml.5").write_text(_plan_page(date), encoding="utf-8")


def _page(name: str, words: Sequence[str], command: Any, date: str) -> str:  # noqa: ANN401
    said = (command.help or "").strip()
    lines = [
        _title(name, 1, date, "User Commands"),
        *_section("NAME", f"{_plain(name)} \\- {_text(described.first(said))}"),
        *_section("SYNOPSIS", *_synopsis(words, command)),
        *_section("DESCRIPTION", *_paragraphs(said)),
        *_nested(words, command),
        *_options(command),
        *_variables(command),
        *_example(command),
        ".SH EXIT STATUS",
        *_statuses(),
        *_section("SEE ALSO", _see_also(words)),
    ]
    return "\n".join(lines) + "\n"


def _title(name: str, section: int, date: str, manual: str) -> str:
    return f'.TH "{name.upper()}" {section} "{date}" "vmnet {__version__}" "{manual}"'


def _section(title: str, *lines: str) -> list[str]:
    return [f'.SH "{title}"', *lines]


def _synopsis(words: Sequence[str], command: Any) -> Iterator[str]:  # noqa: ANN401
    parts = [f"\\fB{_plain(' '.join(words))}\\fR", "[\\fIOPTIONS\\fR]"]
    if hasattr(command, "commands"):
        parts.append("\\fICOMMAND\\fR")
    for name, is_needed, repeats in described.synopsis(command):
        value = f"\\fI{_plain(name)}\\fR{' ...' if repeats else ''}"
        parts.append(value if is_needed else f"[{value}]")
    yield " ".join(parts)


def _nested(words: Sequence[str], command: Any) -> Iterator[str]:  # noqa: ANN401
    known = getattr(command, "commands", {})
    if not known:
        return
    panels = PANELS if len(words) == 1 else {"Commands": known}
    for title, names in panels.items():
        yield f'.SH "{title.upper()}"'
        for name in names:
            page = f"\\fB{_plain('-'.join((*words, name)))}\\fR(1)"
            yield from _entry(
                f"\\fB{_plain(name)}\\fR", described.first(known[name].help or ""), f"See {page}."
            )


def _options(command: Any) -> Iterator[str]:  # noqa: ANN401
    shown = described.shown(command)
    if shown:
        yield ".SH OPTIONS"
    for param in shown:
        yield from _entry(_heading(param), described.about(param))


def _heading(param: Any) -> str:  # noqa: ANN401
    if param.param_type_name == "argument":
        return f"\\fI{_plain(described.value(param))}\\fR"
    value = f" \\fI{_plain(described.value(param))}\\fR" if described.takes_value(param) else ""
    return ", ".join(f"\\fB{_plain(one)}\\fR" for one in described.names(param)) + value


def _variables(command: Any) -> Iterator[str]:  # noqa: ANN401
    read = {
        p.envvar: p.help for p in command.params if p.envvar and not getattr(p, "hidden", False)
    }
    yield ".SH ENVIRONMENT"
    for name, what in sorted((read | _PLACES).items()):
        yield from _entry(f"\\fB{_plain(name)}\\fR", what)


def _example(command: Any) -> Iterator[str]:  # noqa: ANN401
    if line := described.example(command):
        yield from _section("EXAMPLES", f".B {_plain(line)}")


def _statuses() -> Iterator[str]:
    for status, what in described.STATUSES.items():
        yield from _entry(f"\\fB{status}\\fR", what)


def _see_also(words: Sequence[str]) -> str:
    above = [] if len(words) == 1 else [f"\\fB{_plain('-'.join(words[:-1]))}\\fR(1)"]
    return ", ".join((*above, "\\fBvmnet.yaml\\fR(5)"))


def _plan_page(date: str) -> str:
    schema = plan_schema()
    parts = {**schema["properties"], **schema["$defs"]}
    lines = [
        _title("vmnet.yaml", 5, date, "File Formats"),
        *_section("NAME", "vmnet.yaml \\- plans of networked virtual machines"),
        *_section("DESCRIPTION", *_paragraphs(_ABOUT_PLANS)),
        *_keys("KEYS OF A PLAN", schema),
        *(
            line
            for name, part in parts.items()
            for line in _keys(f"KEYS OF {name.upper()}", _with_keys(part))
        ),
        *_section("FILES", *_entry(_USUAL, "The plan of a folder, when none is named.")),
        *_section("SEE ALSO", _BESIDE_PLANS),
    ]
    return "\n".join(lines) + "\n"


def _with_keys(part: Any) -> Json:  # noqa: ANN401  (JSON)
    """Return that form of a part which has keys, the outermost one; {} when it has none."""
    if isinstance(part, dict) and "properties" in part:
        return part
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return next(filter(None, map(_with_keys, inner)), {})


def _keys(title: str, part: Json) -> Iterator[str]:
    if part:
        yield f'.SH "{title}"'
    needed = part.get("required", ())
    for key, form in part.get("properties", {}).items():
        said = form.get("description", "").rstrip(".") + "."
        if key in needed:
            said += " It must be there."
        if words := _choices(form):
            said += f" One of {', '.join(words)}."
        if "default" in form:
            said += f" Default: {_word(form['default'])}."
        name = f"{_plain(key)}: \\fINAME\\fR: ..." if key in _NAMED else f"{_plain(key)}:"
        yield from _entry(f"\\fB{name}\\fR", said)


def _choices(form: Json) -> list[str]:
    """Return the words that a key takes, where it takes nothing else but variables."""
    forms = [form, *form.get("anyOf", ())]
    found = [one["enum"] for one in forms if "enum" in one]
    return [_word(one) for one in found[0]] if found else []


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "none")


def _entry(heading: str, about: str, more: str = "") -> list[str]:
    """Return an item of a list; `more` is written as roff has it."""
    return [".TP", heading, *_filled(" ".join(filter(None, (_text(about), more))))]


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        yield from _filled(_text(" ".join(paragraph.split())))


def _text(text: str) -> str:
    """Return text as roff has it; what stands between backticks is bold."""
    return re.sub(r"\\\(ga(.+?)\\\(ga", r"\\fB\1\\fR", _plain(text))


def _plain(text: str) -> str:
    for character, written in (
        ("\\", "\\e"),
        ("-", "\\-"),
        ("`", "\\(ga"),
        ("^", "\\(ha"),
        ("~", "\\(ti"),
        ("…", "..."),
    ):
        text = text.replace(character, written)
    return text


def _filled(text: str) -> list[str]:
    lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [f"\\&{line}" if line.startswith((".", "'")) else line for line in lines]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if sys.argv[2:] else f"{datetime.now(UTC):%Y-%m-%d}")
