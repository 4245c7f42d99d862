"""XML that a user's template gives, parsed without a DTD: a tree whose elements have places.

libvirt reads the text again with a parser of its own, so whatever two parsers could read in two
ways is refused here: another encoding, an older document's entities, processing instructions.
"""

import re
from collections.abc import Iterator
from dataclasses import field
from typing import TYPE_CHECKING, NoReturn

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.pattern import pattern
from provisioner.plan.scalars import quoted
from provisioner.source_text import Source, complaint, hidden
from provisioner.text import one_line

if TYPE_CHECKING:
    from xml.parsers.expat import XMLParserType

MOST_BYTES = 1 << 20
_DEEPEST = 32
_SEPARATOR = "\x1f"  # stands in no URI: controls are refused before
_DECLARATION = pattern(r"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
# What the prefixes in a path stand for, whichever prefixes the text itself chose.
_PREFIXES = {
    "http://libvirt.org/schemas/domain/qemu/1.0": "qemu:",
    "urn:vmnet:domain:1": "vmnet:",
}


@dataclass(slots=True, eq=False)
class Element:
    """An element: `name` and `path` carry "qemu:" and "vmnet:" where they belong there.

    The root's path is "/", and those below leave it out: "devices/disk". Elements and attributes of
    any other namespace are named "{URI}name".
    """

    name: str
    path: str
    attributes: dict[str, str]
    line: int  # from 0, as the column
    column: int
    children: list["Element"] = field(default_factory=list)
    text: str = ""
    mixed: bool = False  # a comment, a CDATA section or an element cuts the text in pieces

    def all(self, path: str) -> list["Element"]:
        """Return the elements below at a path such as "os/kernel"."""
        found = [self]
        for step in path.split("/"):
            found = [child for element in found for child in element.children if child.name == step]
        return found


def parsed(source: Source) -> tuple[Element | None, list[VmnetError]]:
    """Return the root of a text, or None and why it is not read."""
    if len(source.text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        what = f"{source.file} is larger than 1 MiB"
        return None, [
            complaint(source.where(0, 0), what, "make it smaller: libvirt reads it whole")
        ]
    if found := [*hidden(source)][:20] or [*_declarations(source)]:
        return None, found
    return _Reader(source).read()


def _declarations(source: Source) -> Iterator[VmnetError]:
    # Looked for in the text, comments and all: no parser is to see one, and none is ever right.
    if found := _DECLARATION.search(source.text):
        before = source.text[: found.start()]
        yield complaint(
            source.where(before.count("\n"), found.start() - before.rfind("\n") - 1),
            f"{one_line(found[0])} declares a document type or an entity",
            "take it out: those are never let through, not even by allow_xml",
        )


class _Reader:
    def __init__(self, source: Source) -> None:
        from xml.parsers import expat

        self.source = source
        self.root: Element | None = None
        self.open: list[Element] = []
        self.expat = expat
        self.parser: XMLParserType = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self.xml_declaration
        self.parser.StartElementHandler = self.start_element
        self.parser.EndElementHandler = self.end_element
        self.parser.CharacterDataHandler = self.character_data
        self.parser.CommentHandler = self.mix
        self.parser.StartCdataSectionHandler = self.mix
        self.parser.ProcessingInstructionHandler = self.processing_instruction
        self.parser.StartDoctypeDeclHandler = self.document_type
        self.parser.EntityDeclHandler = self.document_type

    def read(self) -> tuple[Element | None, list[VmnetError]]:
        try:
            self.parser.Parse(self.source.text, True)  # noqa: FBT003  (expat's own: that was all)
        except VmnetError as error:
            return None, [error]
        except self.expat.ExpatError as error:
            where = self.source.where(error.lineno - 1, error.offset)
            what = f"this is not XML: {self.expat.ErrorString(error.code)}"
            fix = "quote every attribute and close every element in the template"
            return None, [complaint(where, what, fix)]
        return self.root, []

    def stop(self, what: str, fix: str) -> NoReturn:
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber
        raise complaint(self.source.where(line - 1, column), what, fix)

    def xml_declaration(self, version: str, encoding: str | None, _standalone: int) -> None:
        if version != "1.0" or (encoding or "UTF-8").upper() != "UTF-8":
            self.stop(
                f"the XML declares version {quoted(version)} and encoding {quoted(encoding)}",
                'take the line out, or write <?xml version="1.0" encoding="UTF-8"?>',
            )

    def document_type(self, *_: object) -> None:
        self.stop("a document type or an entity is declared here", "take it out")

    def processing_instruction(self, target: str, _data: str) -> None:
        self.stop(f"a processing instruction, {quoted(target)}, stands here", "take it out")

    def start_element(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.open) >= _DEEPEST:
            self.stop(f"more than {_DEEPEST} elements stand in each other", "a domain needs a few")
        element = self.element(_named(name), {_named(k): v for k, v in attributes.items()})
        if self.open:
            self.open[-1].children.append(element)
            self.open[-1].mixed |= bool(self.open[-1].text.strip())
        else:
            self.root = element
        self.open.append(element)

    def element(self, name: str, attributes: dict[str, str]) -> Element:
        path = f"{self.open[-1].path}/{name}" if len(self.open) > 1 else name if self.open else "/"
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber
        return Element(name, path, attributes, line - 1, column)

    def end_element(self, _name: str) -> None:
        self.open.pop()

    def character_data(self, text: str) -> None:
        self.open[-1].text += text

    def mix(self, _text: str = "") -> None:
        if self.open:
            self.open[-1].mixed = True


def _named(name: str) -> str:
    uri, separator, local = name.rpartition(_SEPARATOR)
    return _PREFIXES.get(uri, f"{{{uri}}}") + local if separator else name
