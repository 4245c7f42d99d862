"""The action for GitHub and the template for GitLab, run as their runners do, with real guests."""

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.framework.job import ActionJob
from tests.framework.lab import REPOSITORY, Lab
from tests.framework.running import Ran

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24, mode: private}}
vms: {a: {memory: 96M, nics: [lan]}, b: {memory: 96M, nics: [lan]}}
"""
Job = dict[str, Any]
SCRIPT = """\
vmnet exec a -- hostname | tee said
vmnet exec b -- hostname >>said
"""


def job(lab: Lab, tmp_path: Path, **inputs: str) -> ActionJob:
    """Return a use of the action, in a folder with the lab's plan."""
    temp = tmp_path / "runner"
    temp.mkdir()

    def run(argv: list[str], environment: dict[str, str]) -> Ran:
        whole = [*lab.enter, "env", f"--chdir={lab.directory}", *argv]
        return lab.running(whole, environment).finished(None)

    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    return ActionJob(lab.directory, temp, inputs, run, environment)


def test_the_action_measures_a_plan_runs_a_script_among_its_guests_and_takes_it_away(
    lab: Lab, tmp_path: Path
) -> None:
    done = job(lab, tmp_path, plan=f"{lab.plan(PLAN).name}\n", run=SCRIPT)
    done.all()
    assert {name: ran.stderr for name, ran in done.ran.items() if ran.status} == {}
    assert (lab.directory / "said").read_text() == "a\nb\n"
    suites = ET.parse(lab.directory / done.result).getroot()  # noqa: S314  (ours)
    assert sorted(str(suite.get("name")) for suite in suites) == ["a", "b", "host"]
    assert f"## vmnet check: {lab.name}" in done.summary
    assert "all 6 measurements are as expected" in done.summary
    assert "Show the guests' consoles" not in done.ran
    assert lab.snapshot() == lab.before


def test_a_script_that_fails_fails_the_job_with_the_consoles_and_the_plan_goes_all_the_same(
    lab: Lab, tmp_path: Path
) -> None:
    plan = lab.plan(PLAN.replace(", b: {memory: 96M, nics: [lan]}", ""))
    done = job(lab, tmp_path, plan=plan.name, run="vmnet exec a -- false; echo never")
    done.all()
    assert [name for name, ran in done.ran.items() if ran.status] == ["Run the script"]
    assert "never" not in done.ran["Run the script"].stdout
    consoles = done.ran["Show the guests' consoles"].stdout
    assert consoles.startswith("::group::console of a\n| ")
    assert consoles.endswith("::endgroup::\n")
    assert lab.snapshot() == lab.before


@pytest.fixture(scope="module")
def template() -> Job:
    """The job of the template for GitLab."""
    found: Job = yaml.safe_load((REPOSITORY / "ci" / "gitlab.yml").read_text())[".vmnet"]
    return found


def test_the_job_for_gitlab_measures_a_plan_and_takes_it_away(lab: Lab, template: Job) -> None:
    plan = lab.plan(PLAN)
    # As GitLab's runner: both scripts in one shell, what is to be run afterwards in another.
    variables = dict(template["variables"]) | {"VMNET_FILE": plan.name, "GITLAB_CI": "true"}
    variables |= {"VMNET_HOME": str(REPOSITORY), "PATH": os.environ["PATH"], "HOME": "/root"}
    enter = [*lab.enter, "env", f"--chdir={lab.directory}", "sh", "-ec"]
    script = "\n".join([*template["before_script"], *template["script"]])
    said = lab.running([*enter, script], variables).finished().stdout
    assert "all 6 measurements are as expected" in said
    assert (lab.directory / variables["VMNET_JUNIT"]).read_text().startswith("<?xml")
    assert len(lab.qemus()) == 2
    lab.running([*enter, "\n".join(template["after_script"])], variables).finished()
    assert lab.snapshot() == lab.before


def test_the_job_for_gitlab_says_what_it_lacks(lab: Lab, template: Job) -> None:
    variables = dict(template["variables"]) | {"VMNET_HOME": str(lab.directory / "no")}
    variables |= {"PATH": os.environ["PATH"]}
    argv = [*lab.enter, "sh", "-ec", "\n".join(template["before_script"])]
    ran = lab.running(argv, variables).finished(2)
    assert "VMNET_REPOSITORY: is empty: set it to the address that git clones vmnet" in ran.stderr
