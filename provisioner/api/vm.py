"""One guest of a lab."""

from typing import TYPE_CHECKING, Final

from provisioner.api.errors import ExecFailedError, raised
from provisioner.api.results import ExecResult

if TYPE_CHECKING:
    from provisioner.api.runs import LabRuns

_LOOK_S: Final = 3.0
_LINES: Final = 200


class LabVm:
    """A guest of a lab that is up; see `Lab.vm`."""

    def __init__(self, runs: "LabRuns", name: str) -> None:
        """Name the guest; `Lab.vm` does so."""
        self._runs = runs
        self.name = name

    def __repr__(self) -> str:
        """Return the plan and the name."""
        return f"<{self._runs.target.name}/{self.name}>"

    def exec(
        self,
        *argv: str,
        input: str | bytes = b"",  # noqa: A002  (subprocess's own word)
        timeout_s: float = 60.0,
        check: bool = True,
    ) -> ExecResult:
        """Run a program inside the guest, through its agent: no network is needed.

        No shell is between: `exec("sh", "-c", "...")` is one. `timeout_s` is for the agent to come
        and for the program to end. Raises ExecFailedError when it ends with another status than 0,
        but with `check=False`; LabError when there is no agent, or the time is over.
        """
        from provisioner.commands import command
        from provisioner.commands.access.console import execute
        from provisioner.errors import bad_input

        with raised():
            if not argv:
                raise bad_input("exec was given no program", 'name one: vm.exec("uname", "-r")')
            data = input.encode() if isinstance(input, str) else input
            with self._runs.running(command.EXEC, timeout_s=timeout_s) as run:
                ran = execute(self._runs.target, run, self.name, argv, data)
            out, err = (text.decode("utf-8", "replace") for text in (ran.stdout, ran.stderr))
            result = ExecResult(ran.status, out, err, ran.truncated)
            if check and result.status:
                raise ExecFailedError(self.name, argv, result)
            return result

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that the guest really has, without prefixes, as `vmnet ip` finds them.

        Raises LabError when it is not up.
        """
        from provisioner.commands import command
        from provisioner.commands.access import ip

        with self._runs.running(command.IP, timeout_s=_LOOK_S) as run:
            found = ip.find(self._runs.target, run, self.name)
        return tuple(known.address for nic in found for known in nic.addresses)

    @property
    def ssh_config(self) -> str:
        """The text of a ssh_config with this guest in it, and what it is reached through.

        As `ssh -F FILE NAME`. Raises LabError when no network leads to the guest.
        """
        return self._runs.ssh_config(self.name)

    def console(self, lines: int = _LINES) -> str:
        """Return the last lines that the guest has written to its console, made harmless."""
        from provisioner.host.guest import console_log
        from provisioner.host.system import paths

        folder = paths.folder(self._runs.target.name, "console")
        return console_log.last_lines(folder / f"{self.name}.log", lines)
