"""The script that bounds what a program inside a guest says, run by this host's shell."""

import subprocess

import pytest

from provisioner.template_files import template


def bounded(*argv: str, limits: tuple[int, int] = (5, 4), data: str = "") -> tuple[int, str, str]:
    words = ["sh", "-c", template("guest-run.sh"), "exec", *map(str, limits), *argv]
    ran = subprocess.run(words, input=data, capture_output=True, text=True, check=False, timeout=20)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("exit 7", (7, "", "")),
        ("echo ab; echo cd >&2; exit 1", (1, "ab\n", "cd\n")),
        ("cat", (0, "input", "")),
        ("echo 123456789; echo 123456789 >&2; exit 3", (3, "12345", "1234")),
        ("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2; exit 2", (2, "xxxxx", "end\n")),
        ("kill -TERM $$", (143, "", "")),
    ],
)
def test_a_program_ends_as_it_would_and_its_output_is_cut(
    script: str, ended: tuple[int, str, str]
) -> None:
    assert bounded("sh", "-c", script, data="input") == ended


def test_words_arrive_as_they_are() -> None:
    assert bounded("printf", "%s|", "a b", "$x", "'", "", limits=(99, 99))[1] == "a b|$x|'||"


def test_what_it_leaves_in_the_background_is_not_waited_for_when_it_says_nothing() -> None:
    assert bounded("sh", "-c", "sleep 30 > /dev/null 2>&1 & echo on")[:2] == (0, "on\n")
