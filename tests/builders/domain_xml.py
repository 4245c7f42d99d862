"""A domain with two NICs and a disk, its XML, and short ways to spoil that and to ask."""

from provisioner.errors import Exit
from provisioner.guest.xml import check, render
from tests.builders.domain import SEEDED_KVM

XML = render.domain_xml(SEEDED_KVM)
NIC = XML[XML.index("    <interface") : XML.index("</interface>") + 13]
DISK = XML[XML.index("    <disk") : XML.index("</disk>") + 8]


def complaints_of(xml: str, *allow: str) -> list[str]:
    """Give each complaint as `line what`, all of them about bad input and with a fix."""
    found = check.complaints(xml, SEEDED_KVM, allow)
    assert all(e.status is Exit.BAD_INPUT and e.fix and e.where for e in found)
    assert {e.where.file for e in found if e.where} <= {"rendered XML of web"}
    return [f"{e.where.line} {e.what}" for e in found if e.where]


def put(old: str, new: str) -> str:
    """Write something else in vmnet's own XML, not in the mark if it stands elsewhere, too."""
    mark = range(XML.index("<vmnet:domain"), XML.index("</metadata>"))
    places = [at for at in range(len(XML)) if XML.startswith(old, at)]
    at = next(at for at in [*(a for a in places if a not in mark), *places])
    return XML[:at] + new + XML[at + len(old) :]


def in_devices(element: str) -> str:
    return put("  </devices>", f"    {element}\n  </devices>")


def line_of(words: str, xml: str = XML) -> int:
    return xml[: xml.index(words)].count("\n") + 1
