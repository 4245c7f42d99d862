"""A domain with two cards and a disk, its XML, and short ways to spoil that and to ask."""

from provisioner.errors import Exit
from provisioner.guest.domain import Domain, DomainNic
from provisioner.guest.xml import check, render

SEEDED = Domain(
    name="lab-web",
    uuid="5f3c1c1e-6a5b-5d0f-8a47-c3e1907bd254",
    plan="lab",
    vm="web",
    memory_mib=512,
    cpus=2,
    accel="kvm",
    kernel="/var/cache/vmnet/images/micro/vmlinux",
    initrd="/var/cache/vmnet/images/micro/initrd",
    cmdline="console=ttyS0 quiet vmnet.hostname=web",
    console="/var/lib/vmnet/lab/console/web.log",
    nics=(
        DomainNic("mvt9ec10a7b78", "02:9e:c1:0a:7b:78", 1500),
        DomainNic("mvtdeb06583bd", "02:de:b0:65:83:bd", 9000, queues=2, vhost=True),
    ),
    seed="/var/lib/vmnet/lab/seed/web-0123456789ab.iso",
)
XML = render.domain_xml(SEEDED)
NIC = XML[XML.index("    <interface") : XML.index("</interface>") + 13]
DISK = XML[XML.index("    <disk") : XML.index("</disk>") + 8]


def told(xml: str, *allow: str) -> list[str]:
    """Give each complaint as `line what`, all of them about bad input and with a mend."""
    found = check.complaints(xml, SEEDED, allow)
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
