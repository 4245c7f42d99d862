"""Whether one end reaches another, with the reason: what was measured, and what the modes say."""

from typing import TYPE_CHECKING, Final, Self

from provisioner.dataclass import dataclass
from provisioner.text import one_line, sanitize

if TYPE_CHECKING:
    from provisioner.check.result import Result

_SHOWN: Final = 220  # characters that pytest shows of a value in an assert


@dataclass(frozen=True, slots=True)
class Measurement:
    """One direction between two ends, at one address.

    `reached` is None when it could not be measured. `as_expected` compares it with what the plan
    promises, of which `why` is the reason; a silence that is expected counts only when it is shown
    that the question would have been answered. `finding`, `fix` and `evidence` say what is wrong.
    """

    source: str
    target: str
    network: str
    address: str
    asked: str
    expected: str
    why: str
    observed: str
    note: str
    reached: bool | None
    as_expected: bool
    milliseconds: float | None
    finding: str
    fix: str
    evidence: tuple[str, ...]

    @classmethod
    def of(cls, result: "Result") -> Self:
        """Return what a check has measured."""
        pair, finding = result.pair, result.finding
        return cls(
            source=pair.source_label,
            target=pair.target_label,
            network=pair.network,
            address=str(result.address or ""),
            asked=str(pair.asked),
            expected=str(pair.expected),
            why=pair.why,
            observed=result.observed,
            note=result.note,
            reached=result.reached,
            as_expected=result.met,
            milliseconds=None if result.seconds is None else result.seconds * 1000,
            finding=finding.what if finding else "",
            fix=finding.fix if finding else "",
            evidence=finding.evidence if finding else (),
        )


@dataclass(frozen=True, slots=True)
class ReachAnswer:
    """The answer to `Lab.reaches` and `Lab.isolated`: true or false, with the reason.

    `why` is the reason in a sentence: what the modes of the plan say, else what was found wrong.
    `path` has the way of a frame there and back, a line for each step, where the plan tells it.
    """

    question: str
    holds: bool
    why: str
    measurements: tuple[Measurement, ...]
    path: str = ""

    def __bool__(self) -> bool:
        """Return the answer."""
        return self.holds

    def __repr__(self) -> str:
        """Return the answer and its reason on one line, which pytest shows of an assert."""
        return f"<{one_line(f'{self._answer}: {self.why}', _SHOWN)}>"

    def __str__(self) -> str:
        """Return all that is known: the answer, its reason, the measurements, the path."""
        lines = [f"{self._answer}: {self.why}"]
        for one in self.measurements:
            where = f" ({one.address} on {one.network})" if one.address else f" (on {one.network})"
            lines.append(f"  {one.source} -> {one.target}{where}: {one.observed}; {one.note}")
            lines += [f"    seen: {line}" for line in one.evidence]
            if one.finding:
                lines += [f"    finding: {one.finding}", f"    fix: {one.fix}"]
        lines += [f"  {line}" for line in self.path.splitlines()]
        return sanitize("\n".join(lines))  # guests have their word in it

    @property
    def _answer(self) -> str:
        return f"{self.question}: {'yes' if self.holds else 'no'}"
