"""A composite action of GitHub's, run step by step as a runner runs it, without GitHub.

Each `run` is a file for `bash --noprofile --norc -eo pipefail`; what it writes to GITHUB_OUTPUT,
GITHUB_ENV and GITHUB_PATH is there for the steps after it. Of actions that others have made, the
cache alone is known: it hits when its file is there.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.framework.lab import REPOSITORY
from tests.framework.running import Ran

BASH: Final = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
_EXPRESSION: Final = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_COMPARED: Final = re.compile(r"(\S+) (==|!=) '([^']*)'")

Run = Callable[[list[str], dict[str, str]], Ran]


@dataclass
class ActionJob:
    """One use of the action in a job, whose folder is `workspace`."""

    workspace: Path
    temp: Path
    inputs: Mapping[str, str]
    run: Run  # runs a command line in an environment, in the workspace
    environment: dict[str, str]
    has_failed: bool = False
    outputs: dict[str, str] = field(default_factory=dict)  # steps.ID.outputs.NAME
    ran: dict[str, Ran] = field(default_factory=dict)  # by the name of the step

    def __post_init__(self) -> None:
        """Read the action."""
        self.action: Any = yaml.safe_load((REPOSITORY / "action.yml").read_text())
        for name in ("output", "env", "path", "summary"):
            (self.temp / name).touch()

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Return the steps of the action."""
        return list(self.action["runs"]["steps"])

    @property
    def summary(self) -> str:
        """Return the step summary."""
        return (self.temp / "summary").read_text()

    @property
    def result(self) -> str:
        """Return the action's own output `junit`."""
        return self._filled(self.action["outputs"]["junit"]["value"])

    def all(self) -> None:
        """Run all steps whose condition holds."""
        for step in self.steps:
            if self._is_due(step.get("if", "success()")):
                self.step(step)

    def step(self, step: Mapping[str, Any]) -> None:
        """Run one step."""
        if "uses" in step:
            assert step["uses"].startswith("actions/cache@v"), step
            there = Path(self._filled(step["with"]["path"])).exists()
            self.outputs[f"steps.{step['id']}.outputs.cache-hit"] = "true" if there else ""
            return
        script = self.temp / "step.sh"
        script.write_text(step["run"])
        own = {name: self._filled(text) for name, text in step.get("env", {}).items()}
        ran = self.run([*BASH, str(script)], self._variables() | own)
        self.ran[step["name"]] = ran
        self.has_failed |= ran.status != 0
        self._take(step.get("id", ""))

    def _variables(self) -> dict[str, str]:
        return self.environment | {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(REPOSITORY),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(self.temp / "output"),
            "GITHUB_ENV": str(self.temp / "env"),
            "GITHUB_PATH": str(self.temp / "path"),
            "GITHUB_STEP_SUMMARY": str(self.temp / "summary"),
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": "X64",
        }

    def _take(self, step: str) -> None:
        """Take what a step has written for those after it."""
        for line in self._lines("output"):
            name, _, value = line.partition("=")
            self.outputs[f"steps.{step}.outputs.{name}"] = value
        for line in self._lines("env"):
            name, _, value = line.partition("=")
            self.environment[name] = value
        for line in self._lines("path"):
            self.environment["PATH"] = f"{line}:{self.environment['PATH']}"

    def _lines(self, name: str) -> list[str]:
        lines = (self.temp / name).read_text().splitlines()
        (self.temp / name).write_text("")
        return lines

    def _filled(self, text: str) -> str:
        return _EXPRESSION.sub(lambda found: self._value(found[1]), text)

    def _value(self, name: str) -> str:
        if name == "runner.temp":
            return str(self.temp)
        if name.startswith("inputs."):
            known = self.action["inputs"][name.removeprefix("inputs.")]
            return self.inputs.get(name.removeprefix("inputs."), known["default"])
        return self.outputs.get(name, "")

    def _is_due(self, condition: str) -> bool:
        """Evaluate a condition; without a word about failures, nothing has failed before."""
        terms = condition.split(" && ")
        if not any(word in condition for word in ("success()", "always()", "failure()")):
            terms.append("success()")
        return all(map(self._holds, terms))

    def _holds(self, term: str) -> bool:
        states = {"always()": True, "failure()": self.has_failed, "success()": not self.has_failed}
        if term in states:
            return states[term]
        compared = _COMPARED.fullmatch(term)
        assert compared, term
        return (self._value(compared[1]) == compared[3]) is (compared[2] == "==")
