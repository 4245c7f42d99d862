"""A domain as the XML that libvirt reads, and back from the mark it carries."""

import json
from dataclasses import asdict

from provisioner.core.resources import Domain, DomainNic

NAMESPACE = "urn:vmnet:domain:1"
EMULATOR = "/usr/bin/qemu-system-x86_64"


def warm_up() -> None:
    """Import what takes long, while there is time."""
    import jinja2  # noqa: F401


def domain_xml(domain: Domain) -> str:
    """Render the XML of a domain, with the domain's own value as its mark of ownership."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("provisioner", "templates"),
        # Always on: jinja2 would go by the file's ending, and ".j2" is none that it knows.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("domain.xml.j2")
    return template.render(
        domain=domain, mark=to_mark(domain), namespace=NAMESPACE, emulator=EMULATOR
    )


def to_mark(domain: Domain) -> str:
    """Write a domain as the text kept in libvirt's metadata."""
    return json.dumps(asdict(domain), sort_keys=True)


def from_mark(text: str) -> Domain | None:
    """Read a domain from libvirt's metadata; None when it is not what this version writes."""
    try:
        fields = json.loads(text)
        fields["nics"] = tuple(DomainNic(**nic) for nic in fields["nics"])
        return Domain(**fields)
    except (ValueError, TypeError, KeyError):
        return None
