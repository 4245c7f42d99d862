"""vmnet export: a plan written down for other programs."""

from provisioner.commands.access.ssh import SshAccess
from provisioner.commands.target import Options, PlanTarget, Tell
from provisioner.guest import openssh


def ssh_config(target: PlanTarget, options: Options, tell: Tell, identity: str) -> str:
    """Return a ssh_config for a plan's guests."""
    return openssh.config(*SshAccess(target, options, None, tell).logins(), identity)
