"""A plan that is up in a lab, and what tests ask of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.framework.lab import Lab
from tests.framework.running import PATIENCE_S, Ran


@dataclass(frozen=True, slots=True)
class PlanUp:
    """A plan whose guests run."""

    lab: Lab
    path: Path
    text: str
    report: Any  # of the `up` that has started its guests
    taps: Mapping[str, int]  # macvtap to ifindex
    qemus: Mapping[str, int]  # domain to pid

    @property
    def now(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Return the macvtaps and QEMUs of the lab as they are now."""
        return self.lab.macvtaps(), self.lab.qemus()

    @property
    def as_at_first(self) -> bool:
        """Return whether its devices and guests are still those it came up with."""
        return self.now == (self.taps, self.qemus)

    @property
    def home(self) -> Path:
        """Return the folder in which vmnet keeps the plan's files."""
        return Path("/var/lib/vmnet", self.path.stem)

    def write(self, text: str) -> None:
        """Change the plan's file."""
        self.path.write_text(f"name: {self.path.stem}\n{text}")

    def up(self, *words: str, status: int | None = 0) -> Ran:
        """Run `vmnet up`."""
        return self.lab.vmnet("up", self.path, *words, status=status)

    def run(self, *words: str | Path, status: int = 0) -> Ran:
        """Run a command that takes the plan by -f, which goes before any word for the guest."""
        return self.lab.vmnet(words[0], "-p", self.path, *words[1:], status=status)

    def inside(self, vm: str, script: str, status: int = 0) -> str:
        """Run a shell script inside a guest, through its agent; return its standard output."""
        return self.run("exec", vm, "--", "sh", "-c", script, status=status).stdout

    def check(self, *words: str, status: int = 0) -> Any:  # noqa: ANN401  (JSON)
        """Run the check, and return its report."""
        return self.lab.vmnet("check", self.path, "--json", *words, status=status).report

    def checked(self, *lines: str, status: int = 0) -> list[dict[str, Any]]:
        """Check these lines instead of the plan's own, and return the results."""
        report = self.check("--set", f"checks={json.dumps(lines)}", status=status)
        return list(report["results"])

    def addresses(self, vm: str) -> list[str]:
        """Return the addresses of a guest, without prefixes."""
        (found,) = (one["addresses"] for one in self.report["vms"] if one["name"] == vm)
        return [address.partition("/")[0] for address in found]

    def tap(self, vm: str) -> str:
        """Return the name of a guest's first macvtap."""
        (node,) = (one["taps"][0] for one in self.report["vms"] if one["name"] == vm)
        return next(name for name, index in self.taps.items() if node == f"/dev/tap{index}")


@dataclass(slots=True)
class SharedPlan:
    """The plan of a module: up from the first test that needs it until the module's last one."""

    lab: Lab
    text: str
    part: str = ""
    timeout_s: int = 0  # for its guests to come up; 0: as vmnet has it
    _up: PlanUp | None = field(default=None, init=False)

    def up(self) -> PlanUp:
        """Return it as it is up, or bring it up."""
        if self._up is None:
            self._up = brought_up(self.lab, self.text, self.part, self.timeout_s)
        return self._up

    def restore(self) -> None:
        """Undo what a test has done to it; what cannot be undone comes up anew for the next one."""
        up = self.up()
        up.write(self.text)
        plan = self.lab.start("plan", up.path, "--json").finished(None)
        if plan.status == 0 and not plan.report["to_do"] and up.as_at_first:
            return
        again = self.lab.start("up", up.path, "--json").finished(None)
        if again.status == 0:
            self._up = _up(self.lab, up.path, self.text, again.report)
        else:
            self.end()

    def end(self) -> None:
        """Take it down."""
        if self._up is not None:
            self.lab.vmnet("down", self._up.path, "--disks", "--yes")
            self._up = None


def brought_up(lab: Lab, text: str, part: str = "", timeout_s: int = 0) -> PlanUp:
    """Bring a plan up in a lab; `part` tells it from others there."""
    path = lab.plan(text, part)
    more = ("--timeout", str(timeout_s)) if timeout_s else ()
    within_s = max(PATIENCE_S, timeout_s + 60)
    report = lab.vmnet("up", path, "--json", *more, within_s=within_s).report
    return _up(lab, path, text, report)


def _up(lab: Lab, path: Path, text: str, report: Any) -> PlanUp:  # noqa: ANN401  (JSON)
    return PlanUp(lab, path, text, report, lab.macvtaps(), lab.qemus())
