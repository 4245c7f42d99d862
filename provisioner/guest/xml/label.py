"""The user that QEMU runs as, put into the XML of a domain, whoever has written it."""

from provisioner.guest.domain import Domain

_LABEL = (
    '  <seclabel type="static" model="dac" relabel="no">\n'
    "    <label>+{uid}:+{gid}</label>\n"
    "  </seclabel>\n"
)


def labelled(xml: str, domain: Domain) -> str:
    """Return the XML of a domain with its user as the last thing in it; as it is if it has none.

    The place is the parser's: a template's text may have the closing tag in a comment, too.
    relabel="no": vmnet gives files to that user, and libvirt would give it those that guests share.
    """
    if not domain.uid:
        return xml
    from xml.parsers import expat

    octets = xml.encode()
    parser = expat.ParserCreate("UTF-8")
    ends: list[int] = []
    parser.EndElementHandler = lambda _name: ends.append(parser.CurrentByteIndex)
    parser.Parse(octets, True)  # noqa: FBT003  (expat's own: that was all)
    label = _LABEL.format(uid=domain.uid, gid=domain.gid).encode()
    return (octets[: ends[-1]] + label + octets[ends[-1] :]).decode()
