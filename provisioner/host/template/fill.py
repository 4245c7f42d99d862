"""A user's own template for the XML of a domain: read with care, filled in by a child process."""

import os
import stat
import sys
from collections.abc import Collection
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from provisioner.errors import Complaints, Exit, VmnetError, Where
from provisioner.guest.domain import Domain
from provisioner.guest.xml import template as templating
from provisioner.guest.xml.template import Template
from provisioner.host.system import untrusted
from provisioner.text import place_of

_MAX_BYTES = 256 << 10
_DEADLINE_S = 2.5  # by the clock; the child itself allows 0.5 s of processor time
_CHILD = Path(__file__).with_name("child.py")


def domain_xml(template: Template, domain: Domain, allow: Collection[str]) -> str:
    """Return the XML of a domain from the user's template, found to be what the plan says.

    `allow` are elements beyond vmnet's list, as `allow_xml` names them. Raises Complaints, all at
    once, about what the XML holds, and VmnetError when there is no XML to judge.
    """
    from provisioner.guest.xml.check import complaints

    xml = filled(template, domain)
    if found := complaints(xml, domain, allow):
        raise Complaints(found)
    return xml


def read(
    path: Path, where: Where | None = None, *, shown: str = "", quote: bool = True
) -> Template:
    """Return a template; `where` is the place of its name in the plan.

    `shown` names it in messages, where that is not its path; they `quote` its lines or do not.

    Raises VmnetError when it is not there, no regular file, larger than 256 KiB or no UTF-8, and
    Complaints about characters in it that steer a terminal or a parser.
    """

    def bad(what: str, fix: str) -> VmnetError:
        return VmnetError(what, where=where, fix=fix, status=Exit.BAD_INPUT)

    name = shown or str(path)
    try:
        text = _regular(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        fix = "write it, from vmnet's own (docs/templates.md), or fix its path"
        raise bad(f"there is no template {name}", fix) from error
    except UnicodeDecodeError as error:
        fix = "save it as UTF-8"
        line, column = place_of(error)
        what = f"{name} is not UTF-8 text (line {line}, column {column})"
        raise bad(what, fix) from error
    except OSError as error:
        raise bad(
            f"cannot read {name}: {error.strerror}", "fix its permissions or its path"
        ) from error
    except _NotOneError as error:
        raise bad(f"{name} {error}", "a template is a page of text: is it this one?") from error
    template = Template(name, text.replace("\r\n", "\n").replace("\r", "\n"), quote)
    if hidden := templating.hidden_characters(template):
        raise Complaints(hidden)
    return template


class _NotOneError(Exception):
    """What lies there is no template; the message goes on after its path."""


def _regular(path: Path) -> bytes:
    # Opened without waiting, and judged once it is open: a FIFO would hold us, and what a path
    # names may change between two looks.
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise _NotOneError("is not a regular file")
    with os.fdopen(opened, "rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise _NotOneError("is larger than 256 KiB")
    return content


def filled(template: Template, domain: Domain) -> str:
    """Fill the template in for a domain; it takes 3 s at most, whatever the template does.

    Raises VmnetError with the line of the template.
    """
    parts = _parts()
    asked = templating.request(template, domain, parts, _homes_of_jinja())
    # -I -S: no environment, no current folder, no site packages and their start-up code.
    argv = [sys.executable, "-I", "-S", "-B", str(_CHILD)]
    ran = untrusted.run(argv, asked, deadline_s=_DEADLINE_S, most_bytes=templating.MOST_REPLY)
    if ran.too_much:
        raise templating.refusal(template, "large")
    if ran.late or ran.returncode < 0:
        raise templating.refusal(template, "slow")
    return templating.parsed(ran.stdout, template, parts)


def _parts() -> dict[str, str]:
    """Return what a template may include: vmnet's own pieces of the domain's XML."""
    folder = resources.files("provisioner") / "templates"
    found = {file.name: file for file in folder.iterdir() if file.name.endswith(".xml.j2")}
    return {name: file.read_text(encoding="utf-8") for name, file in sorted(found.items())}


def _homes_of_jinja() -> list[str]:
    """Return the folders that the child imports jinja2 from: those that we would, and no others."""
    specs = (find_spec(name) for name in ("jinja2", "markupsafe"))
    origins = (spec.origin for spec in specs if spec and spec.origin)
    return sorted({str(Path(origin).parent.parent) for origin in origins})
