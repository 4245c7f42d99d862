"""The commands of one lab: each with the plan's lock and a worker of its own, as on a terminal."""

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from provisioner.api.errors import LabError, raised
from provisioner.dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.commands.command import Command
    from provisioner.commands.target import CommandRun, PlanTarget

LOGGER: Final = logging.getLogger("vmnet")
"""Gets what the command line prints while it works, at level INFO."""


@dataclass(frozen=True, slots=True)
class LabRuns:
    """The plan that commands are about, and how long each waits for others on the same plan."""

    target: "PlanTarget"
    lock_timeout_s: float

    @contextmanager
    def running(self, command: "Command", *, timeout_s: float = 0.0) -> "Iterator[CommandRun]":
        """Run a command: its worker is there in the block, and what it raises becomes LabError."""
        from provisioner.commands.target import CommandRun
        from provisioner.host import machine_program
        from provisioner.host.system import umask

        started: Any = None
        with raised(), umask.own():
            if command.needs_worker:
                started = machine_program.start()
            try:
                yield CommandRun(command, started, timeout_s, self.lock_timeout_s, LOGGER.info)
            finally:
                if started:
                    started.close()

    def ssh_config(self, vm: str) -> str:
        """Return the ssh_config of one guest; of all for "". Raises LabError when none leads there.

        What an address has to be looked for of is not in it, as of `vmnet export ssh-config`.
        """
        from provisioner.commands import command
        from provisioner.commands.access.ssh import SshAccess
        from provisioner.guest import openssh

        with self.running(command.EXPORT) as run:
            known, left_out = SshAccess(self.target, run).logins()
            if vm:
                through = {jump for to, jump in known if to.vm == vm}
                if not through:
                    why = [line for line in left_out if line.startswith((f"{vm}:", f"{vm} "))]
                    raise LabError(
                        f"this host has no way by ssh into {vm} that the plan tells",
                        fix="; ".join(why) or f"vmnet exec {vm} needs no network",
                    )
                known, left_out = [one for one in known if one[0].vm in {vm, *through}], []
            return openssh.config(known, left_out)
