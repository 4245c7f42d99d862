"""Completion, and the list of commands in --help: quick, and the same as what typer would say."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from provisioner.cli.app import COMMANDS, built
from provisioner.cli.completion import answer, index

HOUSE = Path(__file__).parents[2]
VMNET = (  # its name is a part of the scripts
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'vmnet'; from provisioner.__main__ import main; main()",
)
PLACE = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE), "COLUMNS": "100"}
READ = index.read()


def ran(*argv: str, **environment: str) -> str:
    done = subprocess.run(
        argv, env=PLACE | environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_the_index_is_made_of_the_commands_as_they_are() -> None:
    root: Any = typer.main.get_command(built())
    made = index.written(index.made(root))
    assert index.FILE.read_text() == made, "make it anew: make index"


def test_every_command_is_in_the_index() -> None:
    assert READ[""]["commands"] == sorted(COMMANDS, key=READ[""]["commands"].index)
    assert "image build" in READ
    assert READ["up"]["options"]["--mode"]["choices"][:2] == ["private", "vepa"]


def test_help_lists_the_commands_as_typer_would() -> None:
    code = "from provisioner.cli.app import built; built()(['--help'], prog_name='vmnet')"
    listed = ran(*VMNET, "--help")
    assert " up " in listed
    assert listed == ran(sys.executable, "-c", code)


def test_a_command_after_two_dashes_is_the_command() -> None:
    assert "--print-plan" in ran(*VMNET, "--", "up", "--help")


def test_completion_answers_before_typer_is_imported() -> None:
    code = (
        "import sys\nfrom provisioner.__main__ import main\n"
        "try: main()\nfinally: print('typer' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=PLACE | {"_VMNET_COMPLETE": "complete_bash", "COMP_WORDS": "vmnet sta"}
        | {"COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("start\nstatus\n", "False\n")


@pytest.mark.parametrize(
    ("typed", "replies"),
    [
        ("vmnet sta", ["start", "status"]),
        ("vmnet image b", ["build"]),
        ("vmnet image build --mir", ["--mirror"]),
        ("vmnet up --mode p", ["private", "passthru"]),
        ("vmnet up --mode=p", ["private", "passthru"]),
        ("vmnet up -f plan.yaml --print", ["--print-plan"]),
        ("vmnet link a ", ["up", "down"]),
        ("vmnet exec a -- sta", []),
        ("vmnet sta 'unfinished", []),
    ],
)
def test_bash_is_answered_as_it_asks(typed: str, replies: list[str], tmp_path: Path) -> None:
    program = tmp_path / "vmnet"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(VMNET)} "$@"\n')
    program.chmod(0o755)
    script = ran(
        *VMNET, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )
    asks = f"""{script}
    line={typed!r}
    read -ra COMP_WORDS <<< "$line"
    case $line in *' ') COMP_WORDS+=('') ;; esac
    COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
    _vmnet_completion vmnet
    printf '%s\\n' "${{COMPREPLY[@]}}" """
    assert ran("bash", "-c", asks, PATH=f"{tmp_path}:/usr/bin:/bin").split() == replies


def of_zsh(typed: str) -> tuple[str, int] | None:
    words = {"_VMNET_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": typed}
    return answer.answered(words)


def test_zsh_is_told_what_each_word_is_for() -> None:
    assert of_zsh("vmnet stat") == (
        """_arguments '*: :(("status":"Show what is there, and what \\`up\\` would do"))'\n""",
        0,
    )
    assert of_zsh("vmnet check ") == ("_files\n", 0)


def of_fish(typed: str, action: str) -> tuple[str, int] | None:
    words = {"_VMNET_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": typed}
    return answer.answered(words | {"_TYPER_COMPLETE_FISH_ACTION": action})


def test_fish_asks_first_whether_it_should_offer_files() -> None:
    assert of_fish("vmnet resu", "get-args") == (
        "resume\tLet paused guests go on\n",
        0,
    )
    assert of_fish("vmnet res", "is-args") == ("", 0)
    assert of_fish("vmnet check ", "is-args") == ("", 1)


def test_a_shell_that_is_not_known_is_left_to_typer() -> None:
    assert answer.answered({"_VMNET_COMPLETE": "complete_powershell"}) is None
    told = ran(
        *VMNET,
        _VMNET_COMPLETE="complete_powershell",
        _TYPER_COMPLETE_ARGS="vmnet sta",
        _TYPER_COMPLETE_WORD_TO_COMPLETE="sta",
    )
    assert "status" in told
