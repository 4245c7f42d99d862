"""XML that is not read at all, since it could be read in two ways or without end."""

import pytest

from tests.builders.domain_xml import XML, complaints_of, put

LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
NO_XML = {
    "doctype": ("<!DOCTYPE domain>" + XML, "1 <!DOCTYPE declares a document type or an entity"),
    "entity of a file": (
        '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + XML,
        "1 <!DOCTYPE declares a document type or an entity",
    ),
    "billion laughs": (f'<!DOCTYPE d [<!ENTITY l0 "x">{LAUGHS}]>' + XML, "1 <!DOCTYPE declares"),
    "doctype in small letters": ("\n<!doctype domain>" + XML, "2 <!doctype declares"),
    "entity without a doctype": (put("lab-web<", "&e;<"), "2 this is not XML: undefined entity"),
    "utf-7": (
        '<?xml version="1.0" encoding="utf-7"?>' + XML,
        '1 the XML declares version "1.0" and',
    ),
    "xml 1.1": ('<?xml version="1.1"?>' + XML, "1 "),
    "instruction": (put("  <os>", "<?xml-stylesheet href='x'?><os>"), "9 a processing instruction"),
    "unquoted attribute": (put('unit="MiB"', "unit=MiB"), "7 this is not XML: not well-formed"),
    "extra root": (XML + "<domain/>", f"{XML.count(chr(10)) + 1} this is not XML: junk after"),
    "open": (XML[:-12], f"{XML.count(chr(10)) - 1} this is not XML: "),
    "attribute twice": (put('unit="MiB"', 'unit="MiB" unit="GiB"'), "7 this is not XML: duplicate"),
    "prefix of nobody": (
        put("<vcpu ", "<x:vcpu ").replace("</vcpu>", "</x:vcpu>"),
        "8 this is not XML: unbound",
    ),
    "control": (put("lab-web<", "lab\x0bweb<"), "2 the invisible character \\x0b stands here"),
    "nul": (put("lab-web<", "lab\0web<"), "2 the invisible character \\x00 stands here"),
    "control by number": (
        put("lab-web<", "lab&#11;web<"),
        "2 this is not XML: reference to invalid",
    ),
    "surrogate": (
        put("lab-web<", "lab\ud800web<"),
        "2 the invisible character \\ud800 stands here",
    ),
    "noncharacter": (
        put("lab-web<", "lab\ufffeweb<"),
        "2 the invisible character \\ufffe stands here",
    ),
    "bidi": (put("lab-web<", "lab\u202eweb<"), "2 the invisible character \\u202e stands here"),
    "empty": ("", "1 this is not XML: no element found"),
    "too large": (
        XML.replace("<os>", "<!--" + "x" * (1 << 20) + "--><os>"),
        "1 rendered XML of web is larger than 1 MiB",
    ),
    "too deep": (
        put("  <os>", "<a>" * 40 + "</a>" * 40 + "<os>"),
        "9 more than 32 elements stand in each other",
    ),
    "another document": ("<network/>", '1 the XML is a "network", not a domain'),
    "another namespace": (
        XML.replace("xmlns:qemu", 'xmlns="http://x" xmlns:qemu'),
        '1 the XML is a "{http://x}domain"',
    ),
}


@pytest.mark.parametrize("case", NO_XML)
def test_what_two_parsers_could_read_in_two_ways_is_not_read_at_all(case: str) -> None:
    xml, said = NO_XML[case]
    for allow in ((), ("DOCTYPE", "domain", "qemu:commandline")):
        lines = complaints_of(xml, *allow)
        assert len(lines) == 1
        assert lines[0].startswith(said)
