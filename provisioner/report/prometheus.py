"""The check as metrics in Prometheus' text format, for node_exporter's textfile collector."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

from provisioner.check.result import Result
from provisioner.dataclass import dataclass
from provisioner.report.report import Report
from provisioner.text import sanitize

_MOST: Final = 200  # characters of a label's value


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of results: its name, what it is, how it is read off one; None where it has none."""

    name: str
    help: str
    worst: str  # of several values of one label set: min or max

    def value(self, result: Result) -> float | None:
        """Return its value of a result."""
        match self.name:
            case "vmnet_check_reachable":
                return None if result.reached is None else float(result.reached)
            case "vmnet_check_as_expected":
                return float(result.met)
            case "vmnet_check_rtt_seconds":
                return result.seconds
            case _:
                loss = result.loss
                return loss.lost / loss.sent if loss and loss.sent else None


_OF_RESULTS: Final = (
    Metric("vmnet_check_reachable", "Whether an answer came: 1, or 0.", "min"),
    Metric("vmnet_check_as_expected", "Whether it is as the plan promises: 1, or 0.", "min"),
    Metric("vmnet_check_rtt_seconds", "How long the answer took.", "max"),
    Metric("vmnet_check_loss_ratio", "The share of counted pings that were lost.", "max"),
)


def as_metrics(report: Report, now: float) -> str:
    """Format a report as metrics; `now` is the time in seconds since 1970.

    What was not measured has no `vmnet_check_reachable`. Alerts are to look at the timestamp, too:
    the file stays as it is when checks end.
    """
    lines: list[str] = []
    for metric in _OF_RESULTS:
        lines += _family(metric.name, metric.help, _samples(report, metric))
    of_plan = _labels({"plan": report.plan})
    for name, about, number in (
        ("vmnet_check_status", "The exit status of the check: 0 when all is well.", report.status),
        ("vmnet_check_findings", "Causes that concern no single pair.", len(report.findings)),
        ("vmnet_check_duration_seconds", "How long the check took.", report.seconds),
        ("vmnet_check_timestamp_seconds", "When it ended, in seconds since 1970.", now),
    ):
        lines += _family(name, about, {of_plan: float(number)})
    return "\n".join(lines) + "\n"


def _samples(report: Report, metric: Metric) -> dict[str, float]:
    """Return the value of each label set; of several the worst, as a set may come once."""
    found: dict[str, float] = {}
    worst = min if metric.worst == "min" else max
    for result in report.results:
        number = metric.value(result)
        if number is not None:
            labels = _labels(
                {
                    "plan": report.plan,
                    "network": result.pair.network,
                    "source": result.pair.source_label,
                    "target": result.pair.target_label,
                    "asked": str(result.pair.asked),
                    "address": str(result.address or ""),
                    "expected": str(result.pair.expected),
                }
            )
            found[labels] = worst(found.get(labels, number), number)
    return found


def _family(name: str, about: str, samples: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} gauge"
    for labels, number in samples.items():
        yield f"{name}{labels} {_number(number)}"


def _labels(values: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in values.items()) + "}"


def _escaped(text: str) -> str:
    """Return a text as the value of a label, on one line."""
    shown = sanitize(text)[:_MOST]
    return shown.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(number: float) -> str:
    return str(int(number)) if math.isfinite(number) and number == int(number) else repr(number)
