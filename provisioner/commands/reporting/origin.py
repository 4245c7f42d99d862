"""Where a report comes from: when it was made, on which host, of which plan."""

import os
import time

from provisioner.commands.target import NameTarget, PlanTarget
from provisioner.report.report import ReportOrigin


def origin(target: PlanTarget | NameTarget) -> ReportOrigin:
    """Return when and where this is, and of which text the plan was loaded."""
    host = os.uname()
    digest, changed = (
        (target.digest, target.changed) if isinstance(target, PlanTarget) else ("", ())
    )
    date = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return ReportOrigin(date, host.nodename, f"{host.sysname} {host.release}", digest, changed)
