"""Run a command of vmnet on a host, its plan given by standard input: see the module's page.

No module is sent: what runs vmnet there is a short program in the command line of its Python, and
all that it has to know, the plan too, comes by standard input.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase

PROGRAM = Path(__file__).parent.parent / "module_utils" / "run_command.py"
# Nothing is imported from the folder that a login begins in, which may be another user's.
START = "import sys; sys.path[:] = filter(None, sys.path)"
PYTHON = "/usr/bin/python3"  # where the inventory names none
CHANGING = ("up", "down", "start", "stop", "restart", "pause", "resume", "snapshot", "gc", "extend")
PLANNED = ("up", "down")
OF_PLAN = ("-", "--json")
OPTIONS = {
    "verb": {"type": "str", "required": True},
    "words": {"type": "list", "elements": "str", "default": []},
    "plan": {"type": "str", "no_log": True, "default": ""},
    "seconds": {"type": "int", "default": 3600},
    "executable": {"type": "str", "default": "vmnet"},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """The task's work on one host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the command, and return what came of it."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, asked = self.validate_argument_spec(argument_spec=OPTIONS)
        verb = asked["verb"]
        words = self._words(verb, asked["words"])
        if not words:
            return {**result, "changed": True, "skipped": True, "rc": 0, "stdout": "", "stderr": ""}
        connection = self._connection
        if not connection.has_pipelining or not getattr(connection.become, "pipelining", True):
            why = "a plan goes by standard input: use ssh, and sudo to become another user"
            return {**result, "failed": True, "msg": why}
        program = f"{START}\n{PROGRAM.read_text()}"
        ran = self._low_level_execute_command(
            f"{self._python(task_vars or {})} -c {shlex.quote(program)}",
            in_data=json.dumps({**asked, "words": words}).encode(),
            executable="/bin/sh",
        )
        # What a login shell prints for whoever logs in comes before it.
        lines = [line for line in ran["stdout"].splitlines() if line.startswith("{")]
        try:
            told = json.loads(lines[-1])
        except (IndexError, ValueError):
            why = ran["stderr"].strip() or ran["stdout"].strip() or "it printed nothing"
            return {**result, "failed": True, "msg": f"Python there could not run vmnet: {why}"}
        return {**result, **self._judged(verb, words, told)}

    def _words(self, verb: str, words: list[str]) -> list[str]:
        """Return the words that are run; none where check mode has nothing to look at."""
        if self._task.check_mode and verb in CHANGING:
            return ["plan", *(x for x in words if x in OF_PLAN)] if verb in PLANNED else []
        return [verb, *words]

    def _python(self, variables: Any) -> str:
        """Return the Python of the host, which nobody looks for: that takes a connection more."""
        named = constants.config.get_config_value("INTERPRETER_PYTHON", variables=variables)
        found = str(self._templar.template(named))
        return PYTHON if found.startswith("auto") else found

    def _judged(self, verb: str, words: list[str], told: dict[str, Any]) -> dict[str, Any]:
        """Return the task's result for what the program on the host has told."""
        if "rc" not in told:
            why = "vmnet is not installed there: vmnet hosts bootstrap does that"
            return {**told, "failed": True, "msg": why}
        try:
            document = json.loads(told["stdout"])
        except ValueError:
            document = None
        taken = _steps(document, words[0])
        judged = self._task.check_mode or verb in CHANGING
        told["changed"] = judged and bool(taken)
        if self._task.diff and taken:
            told["diff"] = {"prepared": "\n".join(taken) + "\n"}
        if told["rc"]:
            told |= {"failed": True, "msg": f"vmnet has ended with status {told['rc']}"}
        return told


def _steps(document: object, ran: str) -> list[str]:
    """Return the steps that a report has: those that were done, or would be."""
    if not isinstance(document, dict):
        return []
    found = document.get("to_do" if ran == "plan" else "done", [])
    return [str(step) for step in found] if isinstance(found, list) else []
