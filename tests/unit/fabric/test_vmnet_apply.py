"""The Ansible module that runs vmnet on a host."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

MODULE = (
    Path(__file__).parents[3]
    / "templates/ansible_collections/vmnet/fabric/plugins/modules/vmnet_apply.py"
)
LARGER_THAN_A_PIPE = "#" * 200_000


def run(folder: Path, script: str, plan: str) -> dict[str, Any]:
    program = folder / "vmnet"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    given = {"verb": "up", "words": ["-"], "plan": plan, "executable": str(program)}
    own = {"_ansible_remote_tmp": str(folder)}
    ran = subprocess.run(
        [sys.executable, MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given | own}),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_a_vmnet_that_ends_before_it_has_read_its_plan_is_told_of_as_it_ended(
    tmp_path: Path,
) -> None:
    ran = run(tmp_path, "echo why >&2; exit 3", LARGER_THAN_A_PIPE)
    assert (ran["failed"], ran["rc"], ran["stderr"]) == (True, 3, "why\n")


def test_the_plan_is_vmnets_input_and_its_steps_are_what_has_changed(tmp_path: Path) -> None:
    ran = run(tmp_path, """test "$(cat)" = 'a plan' && echo '{"done": ["one"]}'""", "a plan")
    assert (ran["changed"], ran["rc"]) == (True, 0)
