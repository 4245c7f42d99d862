"""vmnet for Python programs: a plan brought up, asked, taken away (docs/reference/testing.md).

What is named here is kept: names, parameters and attributes change only with a new major version,
and what is added has a default. Everything else of the package may change at any time.
"""

from provisioner.api.errors import (
    CheckFailedError,
    ExecFailedError,
    LabError,
    NotMeasuredError,
    PlanRefusedError,
)
from provisioner.api.lab import Lab
from provisioner.api.reach import Measurement, ReachAnswer
from provisioner.api.results import ExecResult, LabReport
from provisioner.api.vm import LabVm
from provisioner.errors import VmnetError

__all__ = [
    "CheckFailedError",
    "ExecFailedError",
    "ExecResult",
    "Lab",
    "LabError",
    "LabReport",
    "LabVm",
    "Measurement",
    "NotMeasuredError",
    "PlanRefusedError",
    "ReachAnswer",
    "VmnetError",
]
