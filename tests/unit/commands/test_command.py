"""The table of commands, held to the command line that typer reads."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from provisioner.cli.app import built
from provisioner.commands.command import COMMANDS

HOUSE = Path(__file__).parents[3]


def parsers() -> dict[str, Any]:
    root: Any = typer.main.get_command(built())
    return dict(root.commands)


def options(name: str) -> set[str]:
    found = parsers()[name]
    every = (found, *getattr(found, "commands", {}).values())  # its own commands, of a group
    return {word for each in every for param in each.params for word in param.opts}


def test_every_command_is_in_the_table() -> None:
    assert set(parsers()) == set(COMMANDS)
    assert all(each.name == name == str(each) for name, each in COMMANDS.items())


def test_options_that_need_no_worker_are_options_of_their_command() -> None:
    for each in COMMANDS.values():
        assert set(each.alone) <= options(each.name), each


def test_every_command_that_asks_libvirt_takes_a_connection() -> None:
    asking = {each.name for each in COMMANDS.values() if each.needs_worker and each.uses_libvirt}
    taking = {name for name in COMMANDS if "--connection" in options(name)}
    # boot keeps it for the unit's `up`, events hands it to the `status` that it runs
    assert taking == asking - {"doctor"} | {"boot", "events"}


@pytest.mark.parametrize(
    ("argv", "starts"),
    [
        ("up plan.yaml", True),
        ("up --uplink eno1 --print-plan", False),
        ("check --watch", False),
        ("doctor --ci", False),
        ("doctor --watch", True),
        ("plan --help", False),
        ("plan -h", False),
        ("exec a -- ls --help", True),
        ("explain a b", False),
        ("net ls", False),
    ],
)
def test_the_worker_is_started_for_those_that_need_it(argv: str, starts: bool) -> None:  # noqa: FBT001
    words = argv.split()
    assert COMMANDS[words[0]].starts_worker(words) is starts


def test_only_what_takes_steps_takes_away_what_killed_runs_have_left() -> None:
    changing = {each.name for each in COMMANDS.values() if each.changes_host}
    assert changing == {
        "up",
        "down",
        "stop",
        "start",
        "restart",
        "pause",
        "resume",
        "snapshot",
        "gc",
        "move",
        "receive",
    }


def test_the_table_is_read_without_typer() -> None:
    script = (
        "import sys; from provisioner.commands import command; "
        "print([name for name in ('typer', 'rich', 'pydantic', 'libvirt') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=HOUSE, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
