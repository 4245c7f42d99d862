"""Check a template's XML before libvirt gets it: against the list, and against the plan."""

from collections.abc import Collection, Iterator

from provisioner.errors import VmnetError, bad_input
from provisioner.guest.domain import Domain
from provisioner.guest.xml import allowlist, compare, render
from provisioner.guest.xml.compare import XmlDifference
from provisioner.guest.xml.parse import Element, parsed
from provisioner.pattern import pattern
from provisioner.plan.scalars import quoted
from provisioner.source_text import Source, complaint
from provisioner.text import one_line

_MOST = 20
_WORD = pattern(r"(?:qemu:)?[A-Za-z][\w-]*(?:/(?:qemu:)?[A-Za-z][\w-]*)*(?:@[A-Za-z][\w-]*)?")


def complaints(xml: str, domain: Domain, allow: Collection[str]) -> list[VmnetError]:
    """Find what must not go to libvirt: each with its line in the rendered text, rule and fix.

    `allow` are elements ("devices/hostdev", "qemu:commandline") and attributes
    ("devices/memballoon@foo") beyond vmnet's list; what stands in an element goes with it. What
    the plan says is compared all the same.
    """
    source = Source(f"rendered XML of {one_line(domain.vm)}", xml)
    root, found = parsed(source)
    if root is None:
        return found
    own, found = parsed(Source("vmnet's own XML", render.domain_xml(domain)))
    if own is None:
        return found
    if root.name != "domain":
        what = f"the XML is a {quoted(root.name)}, not a domain"
        return [complaint(source.where(0, 0), what, "begin with <domain>")]
    refused = [
        *_element(root, frozenset(allow)),
        *compare.differences(root, own, domain.memory_mib),
    ]
    refused.sort(key=lambda one: (one.element.line, one.element.column))
    return [
        complaint(source.where(one.element.line, one.element.column), one.what, one.fix)
        for one in refused[:_MOST]
    ]


def unusable(allow: Collection[str]) -> list[VmnetError]:
    """Complain about words of `allow_xml` that can let nothing through."""
    found = []
    for word in allow:
        element, _, attribute = word.partition("@")
        rule = allowlist.rule(element)
        known = rule is not None and (not attribute or attribute in rule.attributes)
        if not _WORD.fullmatch(word) or element in {"domain", "DOCTYPE"}:
            what = f"allow_xml: {quoted(word)} is not an element that could be let through"
            fix = "write the path that the complaint names, such as devices/hostdev"
        elif known:
            what = (
                f"allow_xml: {quoted(word)} is let through already, with the values that are good"
            )
            fix = "leave the word out, and do in the template what the complaint asks for"
        else:
            continue
        found.append(bad_input(what, fix))
    return found


def _element(element: Element, allow: Collection[str]) -> Iterator[XmlDifference]:
    """Walk along vmnet's list of what a domain may hold."""
    rule = allowlist.rule(element.path)
    if rule is None:
        yield _refused(element, element.path, "")
        return
    for name, value in element.attributes.items():
        pattern = rule.attributes.get(name)
        if not (pattern and pattern.fullmatch(value)):
            path = f"{element.path}@{name}"
            # A value of its own for what vmnet knows is never let through.
            if pattern or path not in allow:
                yield _refused(element, path, value if pattern else "")
    yield from _text(element, rule)
    yield from _children(element, allow)


def _text(element: Element, rule: allowlist.Rule) -> Iterator[XmlDifference]:
    if rule.text is None:
        if text := element.text.strip():
            what = f"the text {quoted(text)} stands in {_shown(element.path)}, which has none"
            yield XmlDifference(element, what, "take it out")
    elif element.mixed:
        what = f"the text of {element.path} is cut by a comment, a CDATA section or an element"
        yield XmlDifference(element, what, "write it in one piece: parsers differ here")
    elif not rule.text.fullmatch(element.text):
        yield _refused(element, element.path, element.text)


def _children(element: Element, allow: Collection[str]) -> Iterator[XmlDifference]:
    seen: set[str] = set()
    for child in element.children:
        rule = allowlist.rule(child.path)
        # Another tool's notes: libvirt keeps them and looks at none. What vmnet has on its list,
        # it looks at, whatever is allowed.
        if child.path.startswith("metadata/{") or (rule is None and child.path in allow):
            continue
        yield from _element(child, allow)
        if child.path in seen and rule and not rule.many:
            what = f"{_shown(child.path)} stands here for the second time"
            yield XmlDifference(child, what, "write it once: which one counts, nobody knows")
        seen.add(child.path)


def _refused(element: Element, path: str, value: str) -> XmlDifference:
    reason, fix = allowlist.REASONS.get(path, (None, None))
    what = _shown(path)
    what += f" is {quoted(value)}" if value else ""
    if reason:
        what += f": it {reason}" if value else f" {reason}"
    elif value:
        what += ", which is not on the list of what a template may say there"
    else:
        what += " is not on the list of what a template may contain"
    if not fix:
        fix = "take it out"
        if not value and _WORD.fullmatch(path):
            fix += f", or let it through in the plan: allow_xml: [{path}]"
    return XmlDifference(element, what, fix)


def _shown(path: str) -> str:
    return one_line(path.replace("/", "domain", 1) if path.startswith("/") else path)
