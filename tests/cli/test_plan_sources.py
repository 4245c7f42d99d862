"""Where the command line takes the plan from: files, standard input, the environment."""

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.cli import run
from tests.framework import forked

HOUSE = Path(__file__).parents[2]
VMNET = forked.program()
PLAN = """\
name: lab
networks: {lan: {switch: true, subnet: 10.91.0.0/24}}
vms: {a: {nics: [lan]}, b: {nics: [lan]}}
"""
VEPA = "networks: {lan: {mode: vepa}}\n"
BROKEN = "networks: {lan: {mode: bridg}}\n"
QUESTION = ("explain", "a", "b")


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def verdict(self) -> str:
        return self.out.partition("\n")[0]

    @property
    def what(self) -> str:
        return self.err.partition("\n")[0]


PROMISED = ", as the plan and the modes have it (vmnet check measures it)"
REACHES = f"a -> b on network lan: reaches{PROMISED}"
CUT_OFF = "a -> b on network lan: must not reach"


def vmnet(*words: str, cwd: Path, typed: str = "", **environment: str) -> Ran:
    ran = subprocess.run(
        [*VMNET, *words],
        cwd=cwd,
        input=typed,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lab.yaml").write_text(PLAN)
    (tmp_path / "vepa.yaml").write_text(VEPA)
    (tmp_path / "broken.yaml").write_text(BROKEN)
    return tmp_path


@pytest.mark.parametrize("option", ["-f", "-p", "--file", "--plan"])
def test_a_plan_is_named_by_any_of_its_options(option: str, folder: Path) -> None:
    assert vmnet(*QUESTION, option, "lab.yaml", cwd=folder).verdict == REACHES


@pytest.mark.parametrize("name", ["vmnet.yaml", "vmnet.yml"])
def test_the_plan_of_the_folder_is_taken_without_a_word(name: str, folder: Path) -> None:
    (folder / "lab.yaml").rename(folder / name)
    assert vmnet(*QUESTION, cwd=folder).verdict == REACHES


def test_two_plans_of_the_folder_are_refused(folder: Path) -> None:
    for name in ("vmnet.yaml", "vmnet.yml"):
        (folder / name).write_text(PLAN)
    assert vmnet(*QUESTION, cwd=folder) == Ran(
        2,
        "",
        "there are a vmnet.yaml and a vmnet.yml, and only one can be meant\n"
        "  fix: remove one of them, or name the one that is meant with --file\n",
    )
    assert vmnet(*QUESTION, "-f", "vmnet.yml", cwd=folder).verdict == REACHES


def test_a_plan_is_read_from_standard_input(folder: Path) -> None:
    assert vmnet(*QUESTION, "-f", "-", cwd=folder, typed=PLAN).verdict == REACHES


def test_complaints_about_standard_input_have_their_places(folder: Path) -> None:
    broken = PLAN.replace("switch: true", "switch: true, mode: bridg")
    assert vmnet("up", "-", cwd=folder, typed=broken) == Ran(
        2,
        "",
        '<stdin>:2:38: "bridg" is not a macvtap mode\n'
        f"{broken.splitlines()[1]}\n"
        f"{' ' * 37}^\n"
        "  fix: use one of private, vepa, bridge, passthru, source\n",
    )


def test_files_that_a_plan_on_standard_input_names_are_looked_for_in_the_working_folder(
    folder: Path,
) -> None:
    plan = PLAN.replace("a: {", "a: {kernel: vmlinuz, ")
    assert vmnet("render", "a", "-f", "-", cwd=folder, typed=plan).err.endswith(
        f"  fix: write its path from {folder} on, or fix its permissions\n"
    )


@pytest.mark.parametrize(
    ("typed", "what"),
    [
        (b"name: \xff", "<stdin>:1:7: the byte 0xff is not UTF-8 text"),
        (b"", "<stdin>:1:1: the plan is empty"),
        (b" " * ((5 << 20) + 1), "what stands on standard input is larger than 5 MiB"),
    ],
    ids=["no text", "nothing", "too much"],
)
def test_what_is_no_plan_on_standard_input_is_refused(
    typed: bytes, what: str, folder: Path
) -> None:
    ran = subprocess.run(
        [*VMNET, *QUESTION, "-f", "-"],
        cwd=folder,
        input=typed,
        capture_output=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE)},
    )
    assert (ran.returncode, ran.stderr.decode().partition("\n")[0]) == (2, what)


def test_standard_input_that_is_closed_is_refused(folder: Path) -> None:
    ran = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *VMNET, *QUESTION, "-f", "-"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE)},
    )
    told = "standard input is closed: there is no plan on it\n  fix: name a file instead\n"
    assert (ran.returncode, ran.stderr) == (2, told)


def test_standard_input_can_be_named_once(folder: Path) -> None:
    ran = vmnet(*QUESTION, "-f", "-", "-f", "-", cwd=folder, typed=PLAN)
    assert (ran.status, ran.what) == (2, "standard input is named twice")


def test_a_plan_on_standard_input_has_no_file_to_be_found_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAN.encode())))
    target = run.plan_target([Path("-"), Path("vepa.yaml")])
    assert (target.file, target.folder) == ("", folder)
    assert run.plan_target([Path("lab.yaml"), Path("vepa.yaml")]).file == str(folder / "lab.yaml")


@pytest.mark.parametrize(
    "words", ["status --watch -", "check --watch -", "watch -", "console a --resize -f -"]
)
def test_what_reads_the_plan_again_takes_no_standard_input(words: str, folder: Path) -> None:
    ran = vmnet(*words.split(), cwd=folder, typed=PLAN)
    assert (ran.status, ran.what) == (
        2,
        "the plan is read again and again here, and standard input can be read once",
    )


def test_several_files_are_merged_in_their_order(folder: Path) -> None:
    words = ("-f", "lab.yaml", "-f", "vepa.yaml")
    assert vmnet(*QUESTION, *words, cwd=folder).verdict.startswith(CUT_OFF)
    assert vmnet(*QUESTION, *words, "-f", "-", cwd=folder, typed=PLAN).verdict.startswith(CUT_OFF)
    bridge = "networks: {lan: {mode: bridge}}\n"
    assert vmnet(*QUESTION, *words, "-f", "-", cwd=folder, typed=bridge).verdict == REACHES


def test_a_complaint_names_the_file_that_the_value_came_from(folder: Path) -> None:
    ran = vmnet(*QUESTION, "-f", "lab.yaml", "-f", "broken.yaml", cwd=folder)
    assert (ran.status, ran.what) == (2, 'broken.yaml:1:24: "bridg" is not a macvtap mode')


def test_files_that_a_plan_names_are_looked_for_beside_its_first_file(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "kernel.yaml").write_text("vms: {a: {kernel: vmlinuz}}\n")
    ran = vmnet("render", "a", "-f", "lab.yaml", "-f", "more/kernel.yaml", cwd=folder)
    assert ran.what.startswith('more/kernel.yaml:1:19: the kernel "vmlinuz" cannot be used')
    assert ran.err.endswith(f"  fix: write its path from {folder} on, or fix its permissions\n")


def test_the_environment_names_the_plan_and_several(folder: Path) -> None:
    (folder / "vmnet.yaml").write_text(BROKEN)
    assert vmnet(*QUESTION, cwd=folder, VMNET_FILE="lab.yaml").verdict == REACHES
    both = os.pathsep.join(("lab.yaml", "vepa.yaml"))
    assert vmnet(*QUESTION, cwd=folder, VMNET_FILE=both).verdict.startswith(CUT_OFF)
    assert vmnet(*QUESTION, cwd=folder, VMNET_FILE="-", typed=PLAN).verdict == REACHES


def test_the_command_line_goes_before_the_environment(folder: Path) -> None:
    named = vmnet(*QUESTION, "-f", "lab.yaml", cwd=folder, VMNET_FILE="broken.yaml")
    assert named.verdict == REACHES
    word = vmnet("up", "--print-plan", "lab.yaml", cwd=folder, VMNET_FILE="broken.yaml")
    assert word == Ran(0, PLAN, "")


def test_an_empty_variable_is_none(folder: Path) -> None:
    (folder / "vmnet.yaml").write_text(PLAN)
    assert vmnet(*QUESTION, cwd=folder, VMNET_FILE="").verdict == REACHES


def test_help_names_the_variable(folder: Path) -> None:
    assert "[env var: VMNET_FILE]" in vmnet("ssh", "--help", cwd=folder, COLUMNS="100").out


def test_a_word_and_an_option_that_name_two_plans_are_refused(folder: Path) -> None:
    assert vmnet("up", "lab.yaml", "-f", "vepa.yaml", cwd=folder) == Ran(
        2,
        "",
        "lab.yaml and --file vepa.yaml both name the plan\n"
        "  fix: leave one out, or merge them: name each with --file, what changes the others last"
        "\n",
    )


def test_a_plan_of_several_files_is_printed_as_one(folder: Path) -> None:
    words = ("-f", "lab.yaml", "-f", "vepa.yaml", "--set", "vms.a.cpus=2")
    printed = vmnet("up", "--print-plan", *words, cwd=folder).out
    (folder / "one.yaml").write_text(printed)
    assert vmnet(*QUESTION, "-f", "one.yaml", cwd=folder).verdict.startswith(CUT_OFF)
    assert "cpus: '2'" in printed


@pytest.mark.parametrize("words", ["-f lab.yaml -f vepa.yaml", "-"])
def test_a_plan_that_comes_up_at_boot_is_one_file(words: str, folder: Path) -> None:
    assert vmnet("boot", "install", *words.split(), cwd=folder, typed=PLAN) == Ran(
        2,
        "",
        "a plan that is brought up at boot is one file\n"
        "  fix: write it into one, and install that: vmnet up --print-plan\n",
    )


def test_a_plan_on_standard_input_is_told_from_vms(folder: Path) -> None:
    broken = vmnet("down", "-", "a", cwd=folder, typed="name: Lab\n")
    assert (broken.status, broken.what) == (2, "<stdin>:1:1: the plan has no networks")


# --- variables ------------------------------------------------------------------------------------


def test_variables_come_from_the_environment_of_the_command(folder: Path) -> None:
    (folder / "var.yaml").write_text("networks: {lan: {mode: '${MODE:-vepa}'}}\n")
    words = (*QUESTION, "-f", "lab.yaml", "-f", "var.yaml")
    assert vmnet(*words, cwd=folder).verdict.startswith(CUT_OFF)
    assert vmnet(*words, cwd=folder, MODE="bridge").verdict == REACHES
    broken = vmnet(*words, cwd=folder, MODE="bridg\nx")
    assert broken.what == 'var.yaml:1:24: "bridg\\nx" is not a macvtap mode'


def test_a_plan_is_printed_with_its_variables_as_they_are(folder: Path) -> None:
    (folder / "var.yaml").write_text("vms: {a: {password: '${DB_PASSWORD}'}}\n")
    words = ("up", "--print-plan", "-f", "lab.yaml", "-f", "var.yaml")
    printed = vmnet(*words, cwd=folder, DB_PASSWORD="hunter2").out  # noqa: S106
    assert "password: ${DB_PASSWORD}" in printed


def test_a_variable_that_is_set_now_is_not_set_at_boot(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "vmnet.yaml").write_text(PLAN.replace("a: {", "a: {cpus: '${N:-1}', "))
    refused = vmnet("boot", "install", cwd=folder, N="2")
    assert (refused.status, refused.what) == (
        2,
        "vmnet.yaml:3:17: the variable N is set now, and is not set when the host boots",
    )
    monkeypatch.delenv("N", raising=False)
    assert run.plan_target([folder / "vmnet.yaml"]).variables == {}  # its default holds at boot too


# --- plans without a file -------------------------------------------------------------------------


def test_a_name_without_words_is_answered_with_the_file_of_the_plan(folder: Path) -> None:
    (folder / "state" / "lab").mkdir(parents=True)
    mark = folder / "state" / "lab" / ".vmnet"
    mark.write_text("lab\nfile: /srv/my plans/lab.yaml\n")
    ran = vmnet("ssh", "a", "--name", "lab", cwd=folder, VMNET_STATE_DIR=str(folder / "state"))
    assert ran == Ran(
        2,
        "",
        "the name lab alone does not say what the plan is\n"
        "  fix: name its file: --file '/srv/my plans/lab.yaml'\n",
    )


def test_down_takes_one_word_for_its_plan(folder: Path) -> None:
    for other in (["--name", "lab"], ["lab.yaml"], ["-f", "lab.yaml"]):
        ran = vmnet("down", "--uplink", "eno1", *other, cwd=folder)
        assert (ran.status, ran.what) == (
            2,
            "--uplink says which plan is meant, and so does another word",
        )


def test_down_takes_a_nic_that_can_be_one(folder: Path) -> None:
    ran = vmnet("down", "--uplink", "no/nic", cwd=folder)
    assert (ran.status, ran.what) == (2, '--uplink: "no/nic" cannot name an uplink')
