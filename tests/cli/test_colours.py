"""Colours and progress, as a person at a terminal and a log get them."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
VMNET = (sys.executable, "-m", "provisioner")
LIST = ("image", "ls")
BOLD = "\x1b[1m"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*3\d")
CURSOR_HIDDEN = "\x1b[?25l"
PLAN = """\
name: colours
networks: {lan: {switch: true, subnet: 10.91.0.0/24}}
vms: {a: {nics: [lan]}}
"""


def environment(given: dict[str, str]) -> dict[str, str]:
    fixed = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(HOUSE), "COLUMNS": "100"}
    return fixed | {"TERM": "xterm-256color"} | given


def on_terminal(
    *words: str, cwd: Path = HOUSE, given: dict[str, str] | None = None
) -> tuple[int, str]:
    """Run vmnet on a pseudo terminal, in a network namespace of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["unshare", "-mn", *VMNET, *words],
        cwd=cwd,
        env=environment(given or {}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # a terminal that nobody has open any more
            break
        if not part:
            break
        said += part
    os.close(ours)
    return process.wait(), said.decode()


def in_a_pipe(*words: str, **given: str) -> str:
    ran = subprocess.run(
        [*VMNET, *words],
        cwd=HOUSE,
        env=environment(given),
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


@pytest.mark.parametrize(
    ("words", "given", "coloured"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"NO_COLOR": ""}, True),
        (("--color", "never"), {}, False),
        ((), {"VMNET_COLOR": "never"}, False),
        (("--color", "auto"), {"VMNET_COLOR": "never"}, True),
        (("--color", "auto"), {"NO_COLOR": "1"}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        ((), {"VMNET_COLOR": "always", "NO_COLOR": "1"}, True),
        (("--color=never",), {"VMNET_COLOR": "always"}, False),
    ],
    ids=str,
)
def test_a_terminal_has_colours_unless_they_are_not_wanted(
    words: tuple[str, ...],
    given: dict[str, str],
    coloured: bool,  # noqa: FBT001
) -> None:
    status, said = on_terminal(*LIST, *words, given=given)
    assert status == 0
    assert "micro" in said
    assert (BOLD in said) is coloured
    assert coloured or "\x1b[" not in said


def test_a_pipe_has_colours_only_when_they_are_wanted() -> None:
    assert "\x1b" not in in_a_pipe(*LIST)
    assert BOLD in in_a_pipe(*LIST, "--color", "always")
    assert BOLD in in_a_pipe(*LIST, VMNET_COLOR="always")


@pytest.mark.parametrize("words", [("--help",), ("up", "--help"), ("image", "--help")], ids=str)
def test_help_is_as_coloured_as_all_else(words: tuple[str, ...]) -> None:
    assert COLOUR.search(on_terminal(*words)[1])
    for given in ({"VMNET_COLOR": "never"}, {"NO_COLOR": "1"}):
        assert not COLOUR.search(on_terminal(*words, given=given)[1])


def test_what_is_no_choice_of_colours_is_refused() -> None:
    status, said = on_terminal(*LIST, "--color", "sometimes")
    assert (status, said.replace("\r", "")) == (
        2,
        '"sometimes" is not a choice of colours\n  fix: write --color auto, always or never\n',
    )
    assert on_terminal(*LIST, given={"VMNET_COLOR": "sometimes"}) == (status, said)


def test_a_terminal_shows_how_far_it_is_unless_that_is_not_wanted(tmp_path: Path) -> None:
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    status, live = on_terminal("plan", cwd=tmp_path)
    _, still = on_terminal("plan", "--no-progress", cwd=tmp_path)
    assert status == 0
    assert CURSOR_HIDDEN in live
    assert CURSOR_HIDDEN not in still
    assert "create switch lan: new" in still


def test_progress_has_no_colours_where_none_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    _, said = on_terminal("plan", "--color", "never", cwd=tmp_path)
    assert CURSOR_HIDDEN in said
    assert "\x1b[2m" not in said


def test_the_words_of_a_guests_program_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    words = ("exec", "a", "ls", "--color=sometimes")
    status, said = on_terminal(*words, cwd=tmp_path)
    assert status != 2
    assert "is not a choice" not in said
