"""What did not go as expected, once per cause: many cells of a grid may share one reason."""

from collections.abc import Iterator

from provisioner.check.result import Finding, Result
from provisioner.report.report import Report

_MOST_PAIRS = 4


def of(report: Report) -> Iterator[tuple[str, Finding]]:
    """Return each reason once, with the pairs that it concerns ("a -> b, b -> a and 7 more")."""
    pairs: dict[str, list[str]] = {}
    findings: dict[str, Finding] = {}
    for finding in report.findings:
        findings.setdefault(finding.what, finding)
        pairs.setdefault(finding.what, [])
    for result in report.results:
        if result.met:
            continue
        finding = result.finding or Finding(f"{result.observed}: {result.note}", "vmnet status")
        findings.setdefault(finding.what, finding)
        pairs.setdefault(finding.what, []).append(title(result))
    for what, finding in findings.items():
        yield _listed(list(dict.fromkeys(pairs[what]))), finding


def title(result: Result) -> str:
    """Return what was asked: `a -> b`, and the kind of check if it was not a ping."""
    pair = result.pair
    kind = "" if pair.asked == "ping" else f" {pair.asked}"
    return f"{pair.source} -> {pair.target}{kind}"


def _listed(pairs: list[str]) -> str:
    shown = ", ".join(pairs[:_MOST_PAIRS])
    more = len(pairs) - _MOST_PAIRS
    return f"{shown} and {more} more" if more > 0 else shown
