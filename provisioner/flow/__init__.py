"""The story of each command, readable aloud."""

from provisioner.flow.ask import console, execute_in, logs, render, status
from provisioner.flow.bring import check, down, plan, up
from provisioner.flow.session import Options, Session, Target

__all__ = [
    "Options",
    "Session",
    "Target",
    "check",
    "console",
    "down",
    "execute_in",
    "logs",
    "plan",
    "render",
    "status",
    "up",
]
