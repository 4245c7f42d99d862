"""What --help says: commands by what people do, an example of each, and words instead of types."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.cli.app import PANELS
from provisioner.cli.completion import answer, index
from provisioner.commands.command import ALIASES, COMMANDS, unaliased
from tests.cli import language
from tests.framework import forked

HOUSE = Path(__file__).parents[2]
VMNET = forked.program()
LEAVES = {
    " ".join(path): command
    for path, command in language.COMMANDS.items()
    if not hasattr(command, "commands") and not command.hidden
}


def ran(*words: str, cwd: Path = HOUSE) -> tuple[int, str, str]:
    done = subprocess.run(
        [*VMNET, *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def helped(words: str) -> str:
    status, out, err = ran(*words.split(), "--help")
    assert (status, err) == (0, "")
    return out


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_an_example_that_its_parser_takes(name: str) -> None:
    label, _, example = LEAVES[name].epilog.partition(": ")
    assert label == "Example"
    program, *words = shlex.split(example)
    assert (program, words[: len(name.split())]) == ("vmnet", name.split())
    assert language.refused(words) == ""
    assert not re.search(r"(?m)^Example", LEAVES[name].help)


def test_an_example_ends_the_help_of_its_command() -> None:
    assert helped("up").rstrip().endswith("\n Example: vmnet up -f lab.yaml")


def test_a_bad_example_is_found() -> None:
    assert "No such option: --recraete" in language.refused(["up", "--recraete"])


def shown_types(name: str) -> list[str]:
    command = language.COMMANDS[tuple(name.split())] if name else language._ROOT
    context = command.make_context("vmnet", [], resilient_parsing=True)
    return [
        f"{param.opts[0]}: {shown}"
        for param in command.get_params(context)
        if re.search(r"<(?!\w+\|)", shown := param.display_type_rich(ctx=context) or "")
    ]


@pytest.mark.parametrize("name", ["", *(" ".join(path) for path in language.COMMANDS)])
def test_no_value_is_called_by_a_type_of_pythons(name: str) -> None:
    assert shown_types(name) == []


def test_a_flag_shows_nothing_and_a_value_what_it_is() -> None:
    rows = re.findall(r"│ (--\S+)\s+(?:(-\S+)\s+)?([A-Z][A-Z=]+)?", helped("up"))
    shown = {option: value for option, _, value in rows}
    assert shown["--json"] == shown["--help"] == ""
    assert (shown["--set"], shown["--uplink"], shown["--lock-timeout"]) == (
        "KEY=VALUE",
        "NIC",
        "SECONDS",
    )
    assert shown["--file,--plan"] == "PLAN"


@pytest.mark.parametrize("name", LEAVES)
def test_options_of_the_environment_name_their_variable(name: str) -> None:
    command = LEAVES[name]
    context = command.make_context("vmnet", [], resilient_parsing=True)
    known = {"VMNET_FILE", "VMNET_CONNECTION", "VMNET_COLOR", "VMNET_DEBUG"}
    found = {param.envvar for param in command.get_params(context) if getattr(param, "envvar", "")}
    assert found <= known
    assert all(param.show_envvar for param in command.params if param.param_type_name == "option")


def test_commands_are_listed_by_what_people_do() -> None:
    found = re.findall(r"^╭─ ([\w ]+?) ─|^│ ([a-z][a-z-]*) ", helped(""), re.MULTILINE)
    listed: dict[str, list[str]] = {}
    for title, name in found:
        if title:
            listed[title] = []
        else:
            listed[next(reversed(listed))].append(name)
    listed.pop("Options")
    assert listed == {title: list(panel) for title, panel in PANELS.items()}


def test_the_index_knows_the_panels() -> None:
    entries = index.read()
    found = {name: entries[name]["panel"] for name in entries[""]["commands"]}
    assert found == {name: title for title, panel in PANELS.items() for name in panel}


# --- other words ----------------------------------------------------------------------------------


def test_an_alias_stands_for_a_command_and_is_none() -> None:
    assert set(ALIASES.values()) <= set(COMMANDS)
    assert not set(ALIASES) & set(COMMANDS)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_the_help_of_an_alias_is_that_of_the_command(alias: str, name: str) -> None:
    assert helped(alias) == helped(name)


def test_an_alias_does_what_the_command_does(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("name: Lab\n")
    for alias, name in ALIASES.items():
        words = ["lab.yaml"] if name != "ls" else ["--nope"]
        assert ran(alias, *words, cwd=tmp_path) == ran(name, *words, cwd=tmp_path)
    assert ran("--", "deploy", "--help") == ran("up", "--help")


@pytest.mark.parametrize("group", ["image", "net", "snapshot"])
def test_what_a_group_has_is_listed_by_list_too(group: str) -> None:
    assert ran(group, "list", "--help") == ran(group, "ls", "--help")
    assert ran(group, "list", "--help")[0] == 0


def test_a_word_of_another_tool_is_left_alone_where_no_command_belongs() -> None:
    assert unaliased(["image", "rm", "list"]) == ["image", "rm", "list"]
    assert unaliased(["ssh", "list"]) == ["ssh", "list"]
    assert ran("export", "list")[0] == 2


def test_no_alias_is_listed_or_completed() -> None:
    entries = index.read()
    assert not set(ALIASES) & set(entries[""]["commands"])
    assert not any(re.search(rf"│ {alias} ", helped("")) for alias in ALIASES)
    assert answer.matching(entries, [], "dest") == {}
    assert list(answer.matching(entries, ["destroy"], "--dis")) == ["--disks"]


def test_nothing_hidden_is_completed() -> None:
    assert "devices" not in answer.matching(index.read(), ["boot"], "")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("statsu", "status"), ("chekc", "check"), ("destory", "destroy"), ("conosle", "console")],
)
def test_a_mistyped_command_is_answered_with_the_one_that_is_meant(typed: str, meant: str) -> None:
    told = f'there is no command "{typed}"\n  fix: did you mean "{meant}"? '
    assert ran(typed, "--json") == (2, "", f"{told}vmnet --help lists all commands\n")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("shutdown", "stop"),
        ("halt", "stop"),
        ("reboot", "restart"),
        ("stat", "status"),
        ("login", "ssh"),
        ("shell", "ssh"),
        ("attach", "console"),
        ("delete", "down"),
        ("rm", "down"),
        ("create", "up"),
        ("run", "up"),
    ],
)
def test_a_word_of_another_tool_is_answered_with_what_does_that_here(
    typed: str, meant: str
) -> None:
    status, out, err = ran(typed)
    does = index.read()[meant]["help"].rstrip(".")[1:]
    assert (status, out) == (2, "")
    assert err.startswith(f'there is no command "{typed}"\n  fix: did you mean "{meant}"? (')
    assert err.endswith(f"{does}) vmnet --help lists all commands\n")


@pytest.mark.parametrize("word", ["help", "version"])
def test_a_word_that_is_an_option_here_is_answered_with_it(word: str) -> None:
    assert ran(word)[2].endswith(f'did you mean "--{word}"? vmnet --help lists all commands\n')


def test_a_word_that_a_group_has_not_is_answered_with_those_that_it_has() -> None:
    status, out, err = ran("net", "foo")
    assert (status, out) == (2, "")
    assert "No such command 'foo'. Those of net: create, ls, show, set, rm." in err


def test_a_mistyped_command_of_a_group_is_answered_by_typer() -> None:
    status, out, err = ran("image", "bild")
    assert (status, out) == (2, "")
    assert "No such command 'bild'. Did you mean 'build'?" in err


def test_a_plan_without_a_command_is_answered_with_one() -> None:
    assert ran("./lab.yaml")[2].endswith(
        "  fix: if it is a plan, say what is to be done: vmnet up ./lab.yaml\n"
    )


def test_a_word_that_is_near_to_none_cannot_steer_the_terminal() -> None:
    assert ran("\x1b[2Jxyzzy") == (
        2,
        "",
        'there is no command "\\x1b[2Jxyzzy"\n  fix: see what there is: vmnet --help\n',
    )


def test_a_mistyped_command_is_answered_before_typer_is_imported() -> None:
    heavy = ("typer", "rich", "pydantic", "libvirt", "pyroute2", "jinja2")
    code = (
        "import sys\nfrom provisioner.__main__ import main\nsys.argv[1:] = ['statsu']\n"
        f"try: main()\nfinally: print([x for x in {heavy} if x in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "[]\n")
