"""vmnet validate: a verdict on plan files, by whoever asks, on any machine."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from provisioner.cli.plan_file.documents import schema

HOUSE = Path(__file__).parents[2]
EXAMPLES = sorted((HOUSE / "examples").glob("*.yaml"))
PLAN = "name: lab\nnetworks: {lan: {uplink: eno1}}\nvms: {web: {count: 2, nics: [lan]}}\n"
BAD = PLAN.replace("eno1}", "eno1, mode: bridg}") + "colour: red\n"
COMPLAINTS = """\
bad.yaml:2:38: "bridg" is not a macvtap mode
networks: {lan: {uplink: eno1, mode: bridg}}
                                     ^
  fix: use one of private, vepa, bridge, passthru, source
bad.yaml:4:1: unknown key "colour"
colour: red
^
  fix: known keys: name, networks, vms, hosts, placement, checks, connection, accel, hosts_file, \
overcommit, defaults
"""
# Runs vmnet where what asks a host cannot be imported, and writes down what it looks at.
WATCHED = """\
import sys

HOST = ("libvirt", "libvirt_qemu", "pyroute2")
PLACES = ("/proc", "/sys", "/dev", "/run", "/etc", "/var/lib", "/var/cache")
seen = []

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HOST:
            raise ImportError(f"{name} is not installed here")

def watch(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn")):
        seen.append(event)
    elif event == "open" and str(arguments[0]).startswith(PLACES):
        seen.append(str(arguments[0]))

sys.meta_path.insert(0, Blocker())
from provisioner.__main__ import main
sys.addaudithook(watch)
sys.argv = ["vmnet", *sys.argv[1:]]
try:
    main()
finally:
    print([name for name in HOST if name in sys.modules], seen, file=sys.stderr)
"""


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def vmnet(
    *words: str | Path, cwd: Path, start: tuple[str, ...] = ("-m", "provisioner"), **more: str
) -> Ran:
    """Run vmnet as a user without any right, who is not root."""
    nobody = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
    ran = subprocess.run(
        [*nobody, sys.executable, *start, *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE), "PYTHONDONTWRITEBYTECODE": "1"}
        | more,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def test_a_valid_plan_is_said_to_be_in_one_line(folder: Path) -> None:
    assert vmnet("validate", cwd=folder) == Ran(0, "vmnet.yaml: 2 VMs, 1 network: valid\n", "")
    named = vmnet("validate", "-f", "vmnet.yaml", cwd=folder)
    assert named == Ran(0, "vmnet.yaml: 2 VMs, 1 network: valid\n", "")


def test_every_error_comes_at_once_as_other_commands_print_it(folder: Path) -> None:
    assert vmnet("validate", "bad.yaml", cwd=folder) == Ran(2, "", COMPLAINTS)
    assert vmnet("render", "web1", "-f", "bad.yaml", cwd=folder).err == COMPLAINTS


def test_each_of_several_files_is_judged(folder: Path) -> None:
    ran = vmnet("validate", "no.yaml", "bad.yaml", "-f", "vmnet.yaml", cwd=folder)
    assert (ran.status, ran.out) == (2, "vmnet.yaml: 2 VMs, 1 network: valid\n")
    assert ran.err.startswith("there is no plan no.yaml\n")
    assert ran.err.endswith(COMPLAINTS)


def test_files_of_options_and_of_the_environment_are_one_plan(folder: Path) -> None:
    (folder / "more.yaml").write_text("networks: {lan: {mode: bridg}}\n")
    (folder / "vepa.yaml").write_text("networks: {lan: {mode: vepa}}\n")
    merged = vmnet("validate", "-f", "vmnet.yaml", "-f", "more.yaml", cwd=folder)
    assert (merged.status, merged.err.partition("\n")[0]) == (
        2,
        'more.yaml:1:24: "bridg" is not a macvtap mode',
    )
    named = vmnet("validate", cwd=folder, VMNET_FILE="vmnet.yaml:vepa.yaml")
    assert named == Ran(0, "vmnet.yaml + vepa.yaml: 2 VMs, 1 network: valid\n", "")
    own = vmnet("validate", "vmnet.yaml", cwd=folder, VMNET_FILE="bad.yaml")
    assert own == Ran(0, "vmnet.yaml: 2 VMs, 1 network: valid\n", "")


def test_a_value_that_is_set_is_judged(folder: Path) -> None:
    assert vmnet("validate", "--set", "vms.web.count=5", cwd=folder).out.startswith(
        "vmnet.yaml: 5 VMs"
    )
    bad = vmnet("validate", "--set", "networks.lan.mode=bridg", cwd=folder)
    assert (bad.status, bad.err.partition(":1:")[0]) == (2, "--set networks.lan.mode=bridg")


def test_json_has_the_valid_plans_and_the_errors(folder: Path) -> None:
    ran = vmnet("validate", "vmnet.yaml", "bad.yaml", "--json", cwd=folder)
    told = json.loads(ran.out)
    Draft202012Validator(schema("validate")).validate(told)
    assert (ran.status, ran.err, told["command"], told["status"]) == (2, "", "validate", 2)
    assert told["plans"] == [{"file": "vmnet.yaml", "plan": "lab", "vms": 2, "networks": 1}]
    assert [error["where"] for error in told["errors"]] == ["bad.yaml:2:38", "bad.yaml:4:1"]


def test_it_needs_no_libvirt_and_looks_at_nothing_but_the_plan(folder: Path) -> None:
    ran = vmnet("validate", "vmnet.yaml", "bad.yaml", cwd=folder, start=("-c", WATCHED))
    assert (ran.status, ran.out) == (2, "vmnet.yaml: 2 VMs, 1 network: valid\n")
    missing, _, looked = ran.err.splitlines()[-1].partition(" ")
    assert missing == "[]"
    assert re.sub(r"/proc/self/fd/\d+", "PLAN", looked) == "['PLAN', 'PLAN']"


def test_what_watches_it_sees_a_command_that_asks_the_host(folder: Path) -> None:
    ran = vmnet("net", "ls", cwd=folder, start=("-c", WATCHED))
    assert "pyroute2 is not installed here" in ran.err


def test_every_example_is_valid(tmp_path: Path) -> None:
    ran = vmnet("validate", *EXAMPLES, cwd=tmp_path)
    assert (ran.status, ran.err) == (0, "")
    assert len(ran.out.splitlines()) == len(EXAMPLES) > 2


HOOKS = yaml.safe_load((HOUSE / ".pre-commit-hooks.yaml").read_text())


def test_the_hook_has_what_pre_commit_wants() -> None:
    (hook,) = HOOKS
    assert {"id", "name", "entry", "language"} <= hook.keys()
    assert hook.keys() <= {"id", "name", "description", "entry", "language", "files"}
    assert (hook["id"], hook["language"]) == ("vmnet-validate", "system")


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("vmnet.yaml", True),
        ("lab/vmnet.yml", True),
        ("lab/ci.vmnet.yaml", True),
        ("values.yaml", False),
        ("notvmnet.yaml", False),
        ("vmnet.yaml.j2", False),
    ],
)
def test_the_hook_is_for_plans(path: str, is_one: bool) -> None:  # noqa: FBT001
    assert bool(re.search(HOOKS[0]["files"], path)) == is_one


def test_the_entry_of_the_hook_runs_with_the_files_that_changed(folder: Path) -> None:
    program, *words = HOOKS[0]["entry"].split()
    assert program == "vmnet"
    assert vmnet(*words, "vmnet.yaml", "bad.yaml", cwd=folder).status == 2
    assert vmnet(*words, "vmnet.yaml", "vmnet.yaml", cwd=folder).status == 0
