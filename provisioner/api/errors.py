"""What the API raises: whatever the caller can act on, with place and fix in the message."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from provisioner.errors import Complaints, Exit, VmnetError, explain

if TYPE_CHECKING:
    from provisioner.api.results import ExecResult, LabReport


_SHOWN: Final = 2000  # characters of what a program has said


class LabError(VmnetError):
    """Anything that the caller can act on. `str` has what, where and the fix."""

    def __str__(self) -> str:
        """Return the whole message, as the command line prints it."""
        return explain(self)


class PlanRefusedError(LabError):
    """The plan, or this host, was refused before anything was touched; `errors` are all reasons."""

    def __init__(self, errors: list[VmnetError], status: Exit) -> None:
        """`status` is the exit status that the command line would end with."""
        first = errors[0]
        super().__init__(first.what, where=first.where, fix=first.fix, status=status)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        """Return all reasons, each as the command line prints it."""
        return "\n".join(map(explain, self.errors))


class CheckFailedError(LabError):
    """A plan is not as it promises, or not wholly up; `report` has the measurements."""

    def __init__(self, report: "LabReport") -> None:
        """`report` is of the command that has found it so."""
        what = f"{report.plan}: {report.summary}"
        fix = "see the reasons in the report"
        super().__init__(what, fix=fix, status=Exit(report.status))
        self.report = report

    def __str__(self) -> str:
        """Return what the command line prints of the report."""
        return self.report.text


class NotMeasuredError(LabError):
    """Whether one end reaches another could not be measured: neither answer would be true."""


class ExecFailedError(LabError):
    """A program inside a guest has ended with another status than 0; `result` has its output."""

    def __init__(self, vm: str, argv: tuple[str, ...], result: "ExecResult") -> None:
        """`argv` is what was to be run in the guest `vm`."""
        what = f"{' '.join(argv)} in {vm} has ended with status {result.status}"
        said = (result.stderr.strip() or result.stdout.strip())[-_SHOWN:]
        fix = "look at what it says" + (f": {said}" if said else "; it has said nothing")
        super().__init__(what, fix=fix, status=Exit.CHECK_FAILED)
        self.result = result


@contextmanager
def raised() -> Iterator[None]:
    """Raise as LabError what the user can act on."""
    from provisioner.host.system import file_errors

    try:
        yield
    except LabError:
        raise
    except Complaints as complaints:
        raise PlanRefusedError(complaints.errors, complaints.status) from None
    except (VmnetError, OSError) as error:
        found = file_errors.actionable(error)
        raise LabError(found.what, where=found.where, fix=found.fix, status=found.status) from None
