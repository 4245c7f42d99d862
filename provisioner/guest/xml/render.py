"""A domain as the XML that libvirt reads, and back from the mark it carries."""

import base64
import json
from dataclasses import asdict, fields
from functools import cache
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from provisioner.guest.domain import (
    EMULATOR,
    MICRO,
    NAMESPACE,
    Domain,
    DomainDisk,
    DomainNic,
    Image,
)

if TYPE_CHECKING:
    import jinja2

# x86's COMMAND_LINE_SIZE is 2048 bytes (arch/x86/include/asm/setup.h), with the closing NUL.
MAX_CMDLINE = 2047

_MOST_XML = 1 << 20


def with_network(cmdline: str, network: str) -> str:
    """Put a network-config on a kernel's command line, as cloud-init takes it there."""
    return f"{cmdline} network-config={base64.b64encode(network.encode()).decode()}"


def warm_up() -> None:
    """Import what takes long, while there is time."""
    import jinja2  # noqa: F401


def domain_xml(domain: Domain) -> str:
    """Render the XML of a domain, with the domain's own value as its mark of ownership."""
    return rendered("domain.xml.j2", **template_values(domain))


def template_values(domain: Domain) -> dict[str, Domain | str]:
    """Return what a template of a domain may fill in, by the names that it knows."""
    has_seed = domain.seed or domain.image.name != MICRO
    cmdline = domain.cmdline if has_seed else with_network(domain.cmdline, domain.network)
    return {
        "domain": domain,
        "cmdline": cmdline,
        "possible_cpus": str(domain.possible_cpus),
        "mark": to_mark(domain),
        "namespace": NAMESPACE,
        "emulator": EMULATOR,
    }


def rendered(template: str, **values: object) -> str:
    """Fill a template of vmnet's own; every value is escaped unless the template says otherwise."""
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> "jinja2.Environment":
    """Return what compiles each template once."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("provisioner", "templates"),
        # Always on: jinja2 would go by the file's ending, and ".j2" is not one that it knows.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )


def to_mark(domain: Domain) -> str:
    """Write a domain as the text kept in libvirt's metadata."""
    compared = {f.name for f in fields(domain) if f.compare} - domain.FOUND
    kept = {name: value for name, value in asdict(domain).items() if name in compared}
    for nic in kept["nics"]:
        del nic["is_dead"], nic["is_absent"]
    return json.dumps(kept, sort_keys=True)


def mark_in(xml: str) -> Domain | None:
    """Find vmnet's mark in the XML of a domain, as libvirt passes it on; None without one.

    The XML may be anybody's: one with a document type, or longer than libvirt's own, has none.
    """
    if "<!DOCTYPE" in xml or len(xml) > _MOST_XML:
        return None
    try:
        root = ET.fromstring(xml)  # noqa: S314  (no document type, so no entities)
    except ET.ParseError:
        return None
    mark = root.find(f"metadata/{{{NAMESPACE}}}domain")
    domain = from_mark((mark.text or "").strip()) if mark is not None else None
    return domain if domain and domain.name == root.findtext("name") else None


def from_mark(text: str) -> Domain | None:
    """Read a domain from libvirt's metadata; None when it is not what this version writes."""
    try:
        fields = json.loads(text)
        fields["nics"] = tuple(DomainNic(**nic) for nic in fields["nics"])
        fields["image"] = Image(**{**fields["image"], "boot": tuple(fields["image"]["boot"])})
        fields["disks"] = tuple(DomainDisk(**disk) for disk in fields["disks"])
        return Domain(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
