"""The story of each command, readable aloud."""

from provisioner.flow.ask import render, status
from provisioner.flow.bring import check, down, plan, up
from provisioner.flow.session import Options, Session, Target

__all__ = [
    "Options",
    "Session",
    "Target",
    "check",
    "down",
    "plan",
    "render",
    "status",
    "up",
]
