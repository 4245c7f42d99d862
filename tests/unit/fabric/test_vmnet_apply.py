"""Ansible's task that runs vmnet on a host: what is run there, and what is told of it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

COLLECTIONS = Path(__file__).parents[3] / "templates"
PROGRAM = COLLECTIONS / "ansible_collections/vmnet/fabric/plugins/module_utils/run_command.py"
LARGER_THAN_A_PIPE = "#" * 200_000


def put(folder: Path, script: str) -> str:
    program = folder / "vmnet"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def run_there(executable: str, plan: str = "", *, seconds: int = 30) -> dict[str, Any]:
    asked = {"executable": executable, "words": ["up", "-"], "plan": plan, "seconds": seconds}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.read_text()],
        input=json.dumps(asked).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def said_of(folder: Path, given: Mapping[str, object], *options: str) -> str:
    """Let Ansible do the task on this machine; return what it prints."""
    own = {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_NOCOLOR": "1",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
    }
    module = ("-m", "vmnet.fabric.vmnet_apply", "-a", json.dumps(given))
    ran = subprocess.run(
        [Path(sys.executable).parent / "ansible", "localhost", "-c", "local", *module, *options],
        env=os.environ | own,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    return ran.stdout


def task(folder: Path, given: Mapping[str, object], *options: str) -> dict[str, Any]:
    """Let Ansible do the task on this machine; return its result."""
    said = said_of(folder, given, *options)
    found = re.search(r"^localhost \| .*?(\{.*\})\s*$", said, re.DOTALL | re.MULTILINE)
    assert found, said
    told: dict[str, Any] = json.loads(found[1])
    return told


def test_a_vmnet_that_ends_before_it_has_read_its_plan_is_told_of_as_it_ended(
    tmp_path: Path,
) -> None:
    told = run_there(put(tmp_path, "echo why >&2; exit 3"), LARGER_THAN_A_PIPE)
    assert (told["rc"], told["stderr"]) == (3, "why\n")


def test_a_vmnet_that_takes_too_long_is_interrupted(tmp_path: Path) -> None:
    assert run_there(put(tmp_path, "exec sleep 50"), seconds=1)["rc"] == 124


def test_output_that_is_no_text_is_told(tmp_path: Path) -> None:
    assert run_there(put(tmp_path, r"printf '\377é'"))["stdout"] == "\N{REPLACEMENT CHARACTER}é"


def test_the_plan_is_vmnets_input_and_its_steps_are_what_has_changed(tmp_path: Path) -> None:
    vmnet = put(tmp_path, """test "$(cat)" = 'a plan' && echo '{"done": ["one"]}'""")
    told = task(tmp_path, {"verb": "up", "words": ["-"], "plan": "a plan", "executable": vmnet})
    assert (told["changed"], told["rc"]) == (True, 0)


def test_the_steps_that_were_taken_are_shown_as_a_difference(tmp_path: Path) -> None:
    vmnet = put(tmp_path, """echo '{"done": ["made a tap"]}'""")
    said = said_of(tmp_path, {"verb": "up", "words": ["-"], "executable": vmnet}, "--diff")
    assert said.startswith("made a tap\n")


def test_check_mode_looks_at_a_plan_and_tells_the_steps_that_would_be_taken(tmp_path: Path) -> None:
    vmnet = put(tmp_path, """echo "{\\"to_do\\": [\\"$*\\"]}" """)
    given = {"verb": "up", "words": ["--recreate", "--json", "-"], "executable": vmnet}
    told = task(tmp_path, given, "--check")
    assert (told["changed"], json.loads(told["stdout"])["to_do"]) == (True, ["plan --json -"])


@pytest.mark.parametrize("verb", ["gc", "stop"])
def test_check_mode_runs_nothing_that_cannot_be_planned(tmp_path: Path, verb: str) -> None:
    ran = tmp_path / "ran"
    vmnet = put(tmp_path, f"touch {ran}")
    assert "SKIPPED" in said_of(tmp_path, {"verb": verb, "executable": vmnet}, "--check")
    assert not ran.exists()


def test_a_host_without_vmnet_is_told_how_it_gets_one(tmp_path: Path) -> None:
    told = task(tmp_path, {"verb": "status", "executable": "vmnet-that-is-not-there"})
    assert "vmnet hosts bootstrap" in told["msg"]


def test_nothing_is_imported_from_the_folder_that_a_login_begins_in(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('of another user')")
    vmnet = put(tmp_path, "echo ran")
    told = task(tmp_path, {"verb": "status", "executable": vmnet}, "--playbook-dir", str(tmp_path))
    assert told["stdout"] == "ran\n"


def test_a_host_without_python_is_told_so(tmp_path: Path) -> None:
    python = {"ansible_python_interpreter": "/not/there/python3"}
    told = task(tmp_path, {"verb": "status"}, "-e", json.dumps(python))
    assert "/not/there/python3" in told["msg"]


def test_a_host_that_greets_whoever_logs_in_is_understood(tmp_path: Path) -> None:
    greeting = tmp_path / "python3"
    greeting.write_text(f'#!/bin/sh\nprintf "{{welcome"; exec {sys.executable} "$@"\n')
    greeting.chmod(0o755)
    python = json.dumps({"ansible_python_interpreter": str(greeting)})
    vmnet = put(tmp_path, "echo ran")
    assert task(tmp_path, {"verb": "status", "executable": vmnet}, "-e", python)["rc"] == 0


def test_who_can_give_no_standard_input_to_another_user_is_told_what_can(tmp_path: Path) -> None:
    told = task(tmp_path, {"verb": "status"}, "--become", "--become-method", "su")
    assert "sudo" in told["msg"]


def test_an_option_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "plann" in task(tmp_path, {"verb": "up", "plann": "x"})["msg"]
