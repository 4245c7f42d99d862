"""What commands of the API return, as values that stay as they are."""

from typing import TYPE_CHECKING

from provisioner.api.reach import Measurement
from provisioner.dataclass import dataclass

if TYPE_CHECKING:
    from provisioner.report.report import Report


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What became of a program inside a guest.

    `status` is its exit status; its output is decoded as UTF-8, what is not UTF-8 replaced.
    """

    status: int
    stdout: str
    stderr: str
    truncated: bool = False  # an agent hands over 2 MiB at most, 256 KiB of errors


@dataclass(frozen=True, slots=True)
class LabReport:
    """What a command has found: true when all is as the plan promises.

    `status` is the exit status of the command on the command line, `seconds` how long it took,
    `findings` are what is wrong, each in a sentence with its fix.
    """

    plan: str
    status: int
    summary: str
    seconds: float
    measurements: tuple[Measurement, ...]
    findings: tuple[str, ...]
    source: "Report"  # not part of what is kept as it is

    def __bool__(self) -> bool:
        """Return whether the command has ended with 0."""
        return self.status == 0

    def __repr__(self) -> str:
        """Return the outcome, and the first reason when it is not as promised."""
        reasons = f": {self.findings[0]}" if self.findings and not self else ""
        return f"<{self.plan}: {self.summary}{reasons}>"

    @property
    def text(self) -> str:
        """The report as the command line prints it."""
        from provisioner.errors import explain
        from provisioner.report import consoles, terminal
        from provisioner.text import sanitize

        lines = ["".join(part.text for part in line) for line in terminal.check(self.source, 0)]
        lines += [explain(failure.error) for failure in self.source.failed]
        lines += consoles.shown(self.source, 0)
        lines.append(f"{self.plan}: {self.summary}")
        return "\n".join(sanitize(line).rstrip() for line in lines)

    @property
    def junit(self) -> str:
        """The report as JUnit XML, as `vmnet check --junit` writes it."""
        from provisioner.report.junit import as_junit

        return as_junit(self.source)

    @property
    def json(self) -> str:
        """The report as `--json` prints it."""
        from provisioner.report.document import as_json

        return as_json(self.source)


def of_report(report: "Report") -> LabReport:
    """Return the report of a command, as the API has it."""
    from provisioner.report.report import causes

    found = [f"{f'{cells}: ' if cells else ''}{one.what}" for cells, one in causes(report)]
    found += [failure.error.what for failure in report.failed]
    return LabReport(
        report.plan,
        int(report.status),
        report.summary,
        report.seconds,
        tuple(map(Measurement.of, report.results)),
        tuple(found),
        report,
    )
