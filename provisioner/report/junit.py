"""The check as JUnit XML: a suite for each VM, a case for each thing that was asked of it.

The form is that of the Jenkins xUnit plugin's junit-10.xsd.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

from provisioner import __version__
from provisioner.check.result import Result
from provisioner.pattern import pattern
from provisioner.plan.checks import HOST
from provisioner.report.report import Report, title
from provisioner.text import sanitize

_FORBIDDEN = pattern("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: Report) -> str:
    """Format a report as JUnit XML; every text of it is XML 1.0, whatever it came from."""
    suites = ET.Element("testsuites", name=_clean(f"vmnet {report.command} {report.plan}"))
    consoles = dict(report.consoles)
    sources = dict.fromkeys([vm.name for vm in report.vms])
    sources |= dict.fromkeys(r.pair.source_label for r in report.results)
    for source in sources:
        own = [r for r in report.results if r.pair.source_label == source]
        if own or source in consoles:
            suites.append(_suite(report, source, own, consoles.get(source, "")))
    if report.findings:
        suites.append(_findings(report))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def _suite(report: Report, source: str, own: Sequence[Result], console: str) -> ET.Element:
    failed = [r for r in own if not r.met and r.reached is not None]
    errors = [r for r in own if not r.met and r.reached is None]
    suite = _counted(source, len(own), len(failed), len(errors), _seconds(own))
    suite.append(_properties(report))
    for result in own:
        suite.append(_case(report, result))
    if console:
        ET.SubElement(suite, "system-out").text = _clean(console)
    return suite


def _counted(name: str, tests: int, failures: int, errors: int, seconds: float) -> ET.Element:
    return ET.Element(
        "testsuite",
        name=_clean(name),
        tests=str(tests),
        failures=str(failures),
        errors=str(errors),
        time=f"{seconds:.3f}",
    )


def _properties(report: Report) -> ET.Element:
    properties = ET.Element("properties")
    known = {"vmnet": __version__, "plan": report.plan}
    known |= {f"chosen {of}": f"{one.what}: {one.why}" for of, one in report.chosen.items()}
    if origin := report.origin:
        known |= {"date": origin.date, "host": origin.host, "kernel": origin.kernel}
        known |= {"plan sha256": origin.digest, "changed by --set": ", ".join(origin.changed)}
    for name, value in known.items():
        ET.SubElement(properties, "property", name=_clean(name), value=_clean(value))
    return properties


def _case(report: Report, result: Result) -> ET.Element:
    pair = result.pair
    case = ET.Element(
        "testcase",
        name=_clean(f"{title(result)} {result.address or ''} {pair.expected}".replace("  ", " ")),
        classname=_clean(f"{report.plan}.{pair.network}.{pair.source_label}"),
        time=f"{result.seconds or 0:.6f}",
    )
    if not result.met:
        kind = "error" if result.reached is None else "failure"
        what = result.finding.what if result.finding else f"{result.observed}: {result.note}"
        child = ET.SubElement(case, kind, message=_clean(what), type=_clean(str(pair.expected)))
        child.text = _clean("\n".join(_details(result)))
    return case


def _details(result: Result) -> Iterable[str]:
    yield f"expected: {result.pair.expected} ({result.pair.why})"
    by = f", {result.by}" if result.by else ""
    yield f"observed: {result.observed} ({result.note}{by})"
    yield from result.around
    if result.finding:
        yield from result.finding.evidence
        yield f"fix: {result.finding.fix}"


def _findings(report: Report) -> ET.Element:
    suite = _counted("findings", len(report.findings), len(report.findings), 0, 0.0)
    for finding in report.findings:
        about = finding.about or HOST
        name, home = _clean(finding.what), _clean(f"{report.plan}.{about}")
        case = ET.SubElement(suite, "testcase", name=name, classname=home, time="0")
        child = ET.SubElement(case, "failure", message=name, type="finding")
        child.text = _clean("\n".join([*finding.evidence, f"fix: {finding.fix}"]))
    return suite


def _seconds(results: Iterable[Result]) -> float:
    return sum(r.seconds or 0.0 for r in results)


def _clean(text: str) -> str:
    """Make a text harmless, then leave out what XML 1.0 has no place for."""
    return _FORBIDDEN.sub("", sanitize(text))
