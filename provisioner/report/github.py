"""What a GitHub job shows of a check: an annotation for each reason, and a summary of the step.

Workflow commands are lines that begin with `::`. Everything foreign in one is escaped as GitHub's
own toolkit does it, and no line of the summary begins with text of a guest.
"""

from provisioner.report import matrix
from provisioner.report.report import Report, causes
from provisioner.text import one_line

_SIGNS = frozenset("\\`*_[]|~#!<>&@:$")
"""What Markdown, HTML or GitHub could take for more than text."""


def annotations(report: Report) -> str:
    """Return a workflow command for each cause of failures."""
    lines = []
    for pairs, finding in causes(report):
        about = f"{pairs}: " if pairs else ""
        text = _data(f"{about}{finding.what} - fix: {finding.fix}")
        lines.append(f"::error title={_property(f'vmnet {report.plan}')}::{text}")
    return "".join(f"{line}\n" for line in lines)


def summary(report: Report) -> str:
    """Format the step's summary as Markdown."""
    lines = [f"## vmnet {report.command}: {_markdown(report.plan)}", "", _markdown(report.summary)]
    for grid in matrix.grids(report.results):
        lines += ["", f"### network {_markdown(grid.network)}", ""]
        lines.append("| from \\ to | " + " | ".join(map(_markdown, grid.targets)) + " |")
        lines.append("|---" * (len(grid.targets) + 1) + "|")
        for source, cells in grid.rows():
            words = (_markdown(str(one)) if one else "" for one in cells)
            lines.append(f"| **{_markdown(source)}** | " + " | ".join(words) + " |")
    for pairs, finding in causes(report):
        about = f"{_markdown(pairs)}: " if pairs else ""
        lines += ["", f"* {about}**{_markdown(finding.what)}**", f"  fix: {_code(finding.fix)}"]
        lines += [f"  * {_markdown(line)}" for line in finding.evidence]
    return "\n".join(lines) + "\n"


def _data(text: str) -> str:
    line = one_line(text, 2000)
    return line.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _markdown(text: str) -> str:
    """Return a text that stays text: no HTML, no link, no table, no mention."""
    return "".join(f"&#{ord(c)};" if c in _SIGNS else c for c in one_line(text, 1000))


def _code(text: str) -> str:
    return f"<code>{_markdown(text)}</code>"
