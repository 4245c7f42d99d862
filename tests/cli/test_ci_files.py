"""What CI users are handed: judged by the schemas of those who read it, and by shellcheck."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.builders.page_examples import examples
from tests.framework.job import BASH
from tests.framework.lab import REPOSITORY

SCHEMAS = REPOSITORY / "tests" / "schemas"
ACTION = yaml.safe_load((REPOSITORY / "action.yml").read_text())
GITLAB = yaml.safe_load((REPOSITORY / "ci" / "gitlab.yml").read_text())
SHOWN = examples("reference/testing.md")
WORKFLOW = yaml.safe_load(SHOWN[".github/workflows/guests.yml"])
# A mount namespace with a /dev/kvm and a udevadm that writes down what it is told.
HOST_WITH_UDEV = """
mkdir dev etc bin
mount --rbind /dev dev
mount -t tmpfs none /dev
for node in null urandom; do touch /dev/$node; mount --bind dev/$node /dev/$node; done
ln -s /proc/self/fd /dev/fd
touch /dev/kvm
cp /etc/passwd /etc/group etc; mkdir -p etc/udev/rules.d; mount --bind etc /etc
printf '#!/bin/sh\\necho "udevadm $*" >>"$PWD/told"\\n' >bin/udevadm; chmod 755 bin/udevadm
export PATH="$PWD/bin:$PATH"
"""


def judged(name: str, document: Any) -> list[str]:  # noqa: ANN401  (YAML)
    """Return what a schema has against a document."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    judge = jsonschema.validators.validator_for(schema)(schema)
    return [error.message for error in judge.iter_errors(document)]


def named(*names: str) -> Any:  # noqa: ANN401  (YAML)
    """Return steps of the action by the words that their names begin with."""
    return [step for step in ACTION["runs"]["steps"] if step["name"].startswith(names)]


def pieces() -> Iterator[tuple[str, str]]:
    """Return all that is shell in the action and in the template."""
    for step in ACTION["runs"]["steps"]:
        if "run" in step:
            yield step["name"], step["run"]
    job = GITLAB[".vmnet"]
    yield "gitlab", "\n".join([*job["before_script"], *job["script"]])
    yield "gitlab afterwards", "\n".join(job["after_script"])


def test_the_action_is_one_by_its_schema() -> None:
    assert judged("github-actions", ACTION) == []
    assert judged("github-actions", ACTION | {"runs": {"using": "composite"}}) != []


def test_the_template_is_one_by_gitlabs_schema() -> None:
    assert judged("gitlab-ci", GITLAB) == []
    assert judged("gitlab-ci", {"guests": GITLAB[".vmnet"] | {"artifact": {}}}) != []


def test_the_workflow_of_the_documentation_is_one_and_gives_what_the_action_takes() -> None:
    # YAML 1.1 takes the key `on` for a yes.
    workflow = {"on" if key is True else key: value for key, value in WORKFLOW.items()}
    assert judged("github-workflows", workflow) == []
    (use,) = (s for s in workflow["jobs"]["guests"]["steps"] if "vmnet@" in s.get("uses", ""))
    assert use["with"].keys() <= ACTION["inputs"].keys()


def test_the_job_of_the_documentation_extends_the_template() -> None:
    job = yaml.safe_load(SHOWN[".gitlab-ci.yml"])
    assert judged("gitlab-ci", job) == []
    assert job["guests"]["extends"] in GITLAB
    assert job["guests"]["variables"].keys() <= GITLAB[".vmnet"]["variables"].keys()


@pytest.mark.parametrize(
    ("name", "script"), [*pieces()], ids=lambda value: value.splitlines()[0][:40]
)
def test_shellcheck_has_nothing_against_a_piece(name: str, script: str) -> None:
    shell = "sh" if name.startswith("gitlab") else "bash"
    options = ["--shell", shell, "--severity", "style", "--norc", "-"]
    ran = subprocess.run(
        ["shellcheck", *options], input=script, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_no_step_has_an_expression_in_its_shell() -> None:
    # What a pull request can choose must come as a variable: in the text it would be run.
    scripts = [step.get("run", "") for step in ACTION["runs"]["steps"]]
    assert [script for script in scripts if "${{" in script] == []


def test_each_input_that_is_read_is_there_and_each_is_told_in_the_documentation() -> None:
    text = (REPOSITORY / "action.yml").read_text()
    assert set(re.findall(r"inputs\.(\w+)", text)) == ACTION["inputs"].keys()
    page = (REPOSITORY / "docs" / "reference" / "testing.md").read_text()
    assert [name for name in ACTION["inputs"] if f"| `{name}` |" not in page] == []


def test_kvms_rule_is_given_to_udev_where_there_is_both(tmp_path: Path) -> None:
    (step,) = named("Let QEMU")
    script = tmp_path / "step.sh"
    script.write_text(HOST_WITH_UDEV + step["run"] + "cat /etc/udev/rules.d/60-vmnet.rules\n")
    argv = ["unshare", "-m", "env", f"GITHUB_ACTION_PATH={REPOSITORY}", *BASH, str(script)]
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    rule = 'KERNEL=="kvm", GROUP="kvm", MODE="0660", OPTIONS+="static_node=kvm"\n'
    assert ran.stdout == rule * 2
    assert (tmp_path / "told").read_text().splitlines() == [
        "udevadm control --reload-rules",
        "udevadm trigger --name-match=kvm --settle",
    ]


IMAGES = """
mount -t tmpfs none /var/cache; mount -t tmpfs none /var/lib
mkdir -p /var/cache/vmnet/images/old-1; touch -d 2020-01-01 /var/cache/vmnet/images/old-1
touch "$RUNNER_TEMP/vmnet-begun" -d 2021-01-01
{pack}
[ ! -e "$RUNNER_TEMP/vmnet-images.tar" ]
mkdir -p /var/cache/vmnet/images/micro-2 /var/lib/vmnet/.images
echo kernel >/var/cache/vmnet/images/micro-2/kernel; echo disk >/var/lib/vmnet/.images/disk
{pack}
umount /var/cache /var/lib; mount -t tmpfs none /var/cache; mount -t tmpfs none /var/lib
{unpack}
cd /var; find cache lib -type f | sort | xargs grep .
"""


def test_images_that_a_job_has_made_are_packed_and_unpacked_for_the_next(tmp_path: Path) -> None:
    (pack,), (unpack,) = named("Pack the images"), named("Unpack")
    # Each in a shell of its own, as an exit of one is not the end of the other.
    pack, unpack = (f"({step['run']})" for step in (pack, unpack))
    environment = [f"GITHUB_ACTION_PATH={REPOSITORY}", f"RUNNER_TEMP={tmp_path}"]
    script = IMAGES.format(pack=pack, unpack=unpack)
    argv = ["unshare", "-m", "env", *environment, *BASH, "-c", script]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "cache/vmnet/images/micro-2/kernel:kernel\nlib/vmnet/.images/disk:disk\n"


def test_a_plan_that_is_not_there_is_told_before_anything_is_installed(tmp_path: Path) -> None:
    (step,) = named("Name the cache")
    environment = ["env", "PLANS=no.yaml", f"GITHUB_ACTION_PATH={REPOSITORY}"]
    environment.append(f"RUNNER_TEMP={tmp_path}")
    argv = [*environment, *BASH, "-c", step["run"]]
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stdout == "::error title=vmnet::there is no plan no.yaml: see the input plan\n"
