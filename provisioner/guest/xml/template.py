"""A user's own template for the XML of a domain: the request to its child process, and the reply.

Nothing in the child's reply is trusted: it has read a template that may have broken its sandbox.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, Where, bad_input, unquoted
from provisioner.guest.domain import Domain, DomainNic
from provisioner.guest.xml import render
from provisioner.plan.scalars import quoted
from provisioner.source_text import Source, complaint, hidden
from provisioner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_XML = 1 << 20
"""Characters of XML that a template may give, and bytes that libvirt is handed."""

MOST_REPLY = 4 * MOST_XML + 4
"""Bytes of a reply that are read."""

_SMALLER = "make its loops and values smaller: a domain is a page of XML"


@dataclass(frozen=True, slots=True)
class Template:
    """A template of a user's: its file, as the user named it, and its text."""

    file: str
    text: str
    quote: bool = True  # its lines in messages: not those of a file outside the plan's folder

    def where(self, line: int) -> Where:
        """Return a place in the template: its line, at the first letter."""
        lines = self.text.split("\n")
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        column = len(text) - len(text.lstrip()) + 1
        return Where(self.file, line, column, text if self.quote else "")


def hidden_characters(template: Template) -> list[VmnetError]:
    """Complain about controls, bidi overrides and lone surrogates in a template."""
    found = hidden(Source(template.file, template.text))
    return [error if template.quote else unquoted(error) for error in found]


def request(
    template: Template, domain: Domain, parts: Mapping[str, str], paths: Sequence[str]
) -> bytes:
    """Encode the request to the child; `parts` may be included, `paths` is where jinja2 lies."""
    values = render.template_values(domain)
    asked = {
        "template": template.text,
        "parts": dict(parts),
        "paths": list(paths),
        "values": {k: asdict(v) if isinstance(v, Domain) else v for k, v in values.items()},
        "most": MOST_XML,
    }
    return json.dumps(asked).encode()


def parsed(reply: bytes, template: Template, parts: Mapping[str, str]) -> str:
    """Parse the child's reply: the XML. Raises VmnetError, with the line, when it is not XML."""
    kind, newline, rest = reply.partition(b"\n")
    try:
        if kind == b"xml" and newline:
            text = rest.decode()
            if len(rest) > MOST_XML:
                raise _complaint(template, "large", None, "", parts)
            return text
        if kind == b"not":
            found = json.loads(rest)
            line = found["line"] if isinstance(found["line"], int) else None
            raise _complaint(template, str(found["kind"]), line, str(found["message"]), parts)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise refusal(template)


def refusal(template: Template, kind: str = "") -> VmnetError:
    """Return the error for a child without a reply: "slow", "large", "" for any other."""
    return _complaint(template, kind, None, "", {})


def _complaint(
    template: Template, kind: str, line: int | None, message: str, parts: Mapping[str, str]
) -> VmnetError:
    what, fix = _texts(kind, one_line(message), parts)
    if line is not None and 0 < line <= template.text.count("\n") + 1:
        return complaint(_narrowed(template.where(line), message), what, fix)
    return bad_input(f"{one_line(template.file)}: {what}", fix)


def _narrowed(where: Where, message: str) -> Where:
    """Point at the word that the message quotes, where the line has it once."""
    for word in re.findall(r"'(\w+)'", message):
        if len(found := [m.start() for m in re.finditer(rf"\b{word}\b", where.text)]) == 1:
            return Where(where.file, where.line, found[0] + 1, where.text)
    return where


def _texts(kind: str, message: str, parts: Mapping[str, str]) -> tuple[str, str]:
    """Return the message and the fix for a kind of failure, as the child named it."""
    names = ", ".join(sorted(parts))
    texts = {
        "syntax": (
            f"this is not a template: {message}",
            "docs/reference/templates.md has an example",
        ),
        "undefined": (f"the template asks for what there is not: {message}", _known()),
        "part": (
            f"the template asks for the file {quoted(message)}",
            f"no files can be reached but vmnet's own ({names}): write the rest out",
        ),
        "forbidden": (
            f"the template does what it must not: {message}",
            "take it out: a template fills in values, it runs no programs",
        ),
        "slow": ("the template takes longer than 0.5 s to fill in", _SMALLER),
        "large": ("the template gives, or computes, a text of more than 1 MiB", _SMALLER),
        "memory": ("the template takes more than 512 MiB of memory", _SMALLER),
        "deep": (
            "the template is nested too deep, or calls itself without end",
            "give the macro or include an end",
        ),
        "failed": (f"the template cannot be filled in: {message}", "fix this line"),
    }
    return texts.get(kind, ("the template broke the program that fills it in", _SMALLER))


def _known() -> str:
    names = ", ".join(f.name for f in fields(Domain))
    nics = ", ".join(f.name for f in fields(DomainNic))
    return (
        f"there are domain, cmdline, possible_cpus, mark, namespace, emulator; domain has {names};"
        f" each of domain.nics has {nics}"
    )
