"""The check as TAP 14 (Test Anything Protocol): a line for each thing that was asked."""

import json
from collections.abc import Iterator

from provisioner.check.result import Finding, Result
from provisioner.report.report import Report, title
from provisioner.text import one_line


def as_tap(report: Report) -> str:
    """Format a report as TAP; no text of a guest's can begin a line of it."""
    count = len(report.results) + len(report.findings)
    lines = ["TAP version 14", f"1..{count}"]
    for number, result in enumerate(report.results, 1):
        lines += _result(number, result)
    for number, finding in enumerate(report.findings, len(report.results) + 1):
        lines.append(f"not ok {number} - {_plain(finding.what)}")
        lines += _diagnostics(finding, {})
    return "\n".join(lines) + "\n"


def _result(number: int, result: Result) -> Iterator[str]:
    description = f"{title(result)} {result.address or ''}: {result.pair.expected}"
    yield f"{'ok' if result.met else 'not ok'} {number} - {_plain(description)}"
    if not result.met:
        about = {
            "expected": str(result.pair.expected),
            "observed": result.observed,
            "note": result.note,
        }
        yield from _diagnostics(result.finding, about)


def _diagnostics(finding: Finding | None, more: dict[str, str]) -> Iterator[str]:
    """Return YAML that is JSON too: whatever is in a text, it stays in its quotes."""
    known: dict[str, object] = {key: one_line(value, 1000) for key, value in more.items()}
    if finding:
        known["message"] = one_line(finding.what, 1000)
        known["fix"] = one_line(finding.fix, 1000)
        known["evidence"] = [one_line(line, 1000) for line in finding.evidence]
    yield "  ---"
    for key, value in known.items():
        yield f"  {key}: {json.dumps(value)}"
    yield "  ..."


def _plain(text: str) -> str:
    """Keep a description from being read as a directive: a # begins one."""
    return one_line(text, 400).replace("\\", "\\\\").replace("#", "\\#")
