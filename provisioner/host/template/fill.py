"""A user's own template for the XML of a domain: read with care, filled in by a child process."""

import sys
from collections.abc import Collection
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from provisioner.errors import Complaints, VmnetError, Where
from provisioner.guest.domain import Domain
from provisioner.guest.xml import template as templating
from provisioner.guest.xml.template import Template
from provisioner.host.system import plan_files, untrusted
from provisioner.host.system.plan_files import Fence

_MAX_BYTES = 256 << 10
_DEADLINE_S = 2.5  # by the clock; the child itself allows 0.5 s of processor time
_CHILD = Path(__file__).with_name("child.py")


def domain_xml(template: Template, domain: Domain, allow: Collection[str]) -> str:
    """Return the XML of a domain from the user's template, checked against the plan.

    `allow` are elements beyond vmnet's list, as `allow_xml` names them. Raises Complaints, all at
    once, about what the XML holds, and VmnetError when there is no XML to judge.
    """
    from provisioner.guest.xml.check import complaints

    xml = filled(template, domain)
    if found := complaints(xml, domain, allow):
        raise Complaints(found)
    return xml


def read(fence: Fence, written: str, where: Where | None = None) -> Template:
    """Return the template that a plan names; `where` is the place of its name in the plan.

    Raises VmnetError when it is not there or outside of the fence, no regular file, larger than
    256 KiB or no UTF-8, and Complaints about characters in it that steer a terminal or a parser.
    """
    fix = "a template is a page of text: is it this one?"
    try:
        text, quote = plan_files.text(fence, "template", written, _MAX_BYTES, too_large=fix)
    except VmnetError as error:
        raise error.at(where) from error
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    template = Template(str(fence.folder / written), text, quote)
    if hidden := templating.hidden_characters(template):
        raise Complaints(hidden)
    return template


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
