"""Every fix that vmnet tells works when it is followed, and every command line in its docs is one.

A fix speaks the language of plans (`key: value`) or of the command line (`vmnet WORDS`): the real
loader and the real parser read it here. What is filled in when a fix is told has an example below.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.advice import CLOSE, HOUSE, OPEN, Text, texts
from tests.cli.language import FOREIGN, commands_in, not_loaded, options, pairs_in

SOURCES = sorted(p for p in (HOUSE / "provisioner").rglob("*.py") if not p.is_symlink())
PAGES = [*sorted(HOUSE.glob("*.md")), *sorted((HOUSE / "docs").rglob("*.md"))]
EXAMPLES = {
    "mtu or 1400": "1400",
    "source": "web1",
    "end": "web1",
    "want - have": "2",
    "plans[0]": "lab",
    "hint": " FILE",
    "login": "root@h2",
    "command": "ip addr",
    "mac": "02:00:00:00:00:01",
    "mode": "bridge",
    "said": "strict",
    "wanted": "source, allow: [host]",
    "mtu": "1400",
    "packet": "1400",
    "nic": "0",
    "path": "devices/rng",
    **dict.fromkeys(("a", "b", "vm", "vms", "target", "name", "NAME", "granted"), "web"),
    **dict.fromkeys(("plan", "owner"), "lab"),
    "uplink": "eno1",
    "carrier": "h1",
}
"""An example of what is filled in: by the whole expression, or by the last name in it."""


def filled(text: str) -> str:
    """Fill in the examples; what has none is left, to be complained of where it matters."""

    def example(found: re.Match[str]) -> str:
        last = found[1].rpartition(".")[2]
        return EXAMPLES.get(found[1], EXAMPLES.get(last, found[0].replace(" ", "_")))

    return re.sub(f"{OPEN}(.*?){CLOSE}", example, text, flags=re.DOTALL)


def wrong(told: Text) -> Iterator[str]:
    """Give what is wrong with a text: each piece, and why."""
    text = filled(told.text)
    for command, why in commands_in(text, strict=told.is_fix):
        yield from complaint(f"vmnet {command}", why)
    if not told.is_fix:
        return
    for key, value in pairs_in(text):
        yield from complaint(f"{key}: {value}", "" if OPEN in value else not_loaded(key, value))
    outside = re.sub(r"(?<![\w./:-])vmnet [\w-].*?(?=[;`]|$)", "", text)
    for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", outside):
        known = option in options() | FOREIGN
        yield from complaint(option, "" if known else "no command of vmnet has that option")


def complaint(piece: str, why: str) -> Iterator[str]:
    if OPEN in piece:
        name = piece.partition(OPEN)[2].partition(CLOSE)[0]
        yield f'"{name}" needs an example in EXAMPLES'
    elif why:
        yield f"`{piece}`: {why}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_every_fix_is_taken_by_the_loader_and_the_parser(source: Path) -> None:
    found = [
        f"{told.place}: {why}\n    in: {told.text}" for told in texts(source) for why in wrong(told)
    ]
    assert not found, "\n".join(found)


def test_every_text_of_the_doctors_tables_is_taken_by_the_loader_and_the_parser() -> None:
    tables = yaml.safe_load((HOUSE / "templates" / "doctor.yaml").read_text())
    told = [
        Text(name, text, is_fix=key == "fix")
        for name, rows in tables.items()
        for row in rows
        for key, text in row.items()
        if isinstance(text, str)
    ]
    assert sum(each.is_fix for each in told) > 15
    found = [f"{each.place}: {why}\n    in: {each.text}" for each in told for why in wrong(each)]
    assert not found, "\n".join(found)


def test_fixes_commands_and_pieces_of_plans_are_found_in_the_source() -> None:
    fixes = [told for source in SOURCES for told in texts(source) if told.is_fix]
    commands = [c for told in fixes for c in commands_in(filled(told.text), strict=True)]
    pairs = [pair for told in fixes for pair in pairs_in(filled(told.text))]
    assert (len(fixes) > 400, len(commands) > 80, len(pairs) > 60) == (True, True, True)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('E("x", fix="write vhost: false for it")', '`vhost: false`: "false" is not a choice'),
        ('E("x", fix="write it in: firmware: uefi")', "`firmware: uefi`: a plan has no key"),
        ('E("x", fix="use mode: brigde, or none")', '`mode: brigde`: "brigde" is not a macvtap'),
        ('E("x", fix="leave it: {path: a, fromat: raw}")', "`: {path: a, fromat: raw}`: "),
        ('E("x", fix="look: vmnet lgos web")', '`vmnet lgos`: there is no command "lgos"'),
        ('E("x", fix="run vmnet up --recraete")', "`vmnet up --recraete`: No such option"),
        ('E("x", fix="then: vmnet net rename mvn0")', "`vmnet net rename mvn0`: No such command"),
        ('E("x", fix="say it: vmnet cp -r")', "`vmnet cp -r`: Missing argument"),
        ('E("x", fix="or say --forec")', "`--forec`: no command of vmnet has that option"),
        ('fix = "write mtu: tiny"\nE("x", None, fix)', '`mtu: tiny`: "tiny" is not an MTU'),
        ('E("x", fix=f"run vmnet logs {who.ever}")', '"who.ever" needs an example in EXAMPLES'),
        ('raise BadValue("x", "write mtu: tiny")', '`mtu: tiny`: "tiny" is not an MTU'),
        ('"""Run vmnet lgos, or vmnet up --recraete."""', "`vmnet up --recraete`: No such option"),
        ('E("x", fix="vmnet up --name " + plan)', "`vmnet up --name lab`: No such option"),
    ],
)
def test_a_bad_fix_is_found(source: str, why: str, tmp_path: Path) -> None:
    module = tmp_path / "bad.py"
    module.write_text(source)
    (found,) = [each for told in texts(module) for each in wrong(told)]
    assert found.startswith(why)


# --- README and docs ------------------------------------------------------------------------------


def lines_of(page: str) -> Iterator[tuple[int, str]]:
    """Give the command lines of a page: what is in code, with the number of its line."""
    is_block = False
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("```"):
            is_block = not is_block
        elif is_block:
            yield number, line.removeprefix("$ ").partition("  #")[0]
        else:
            yield from ((number, code) for code in re.findall(r"`([^`]+)`", line))


def variants(code: str) -> Iterator[str]:
    """Spell out the choice of "a\\|b", and take in what stands in brackets."""
    found = re.search(r"[\w-]+(?:\\?\|[\w-]+)+", code)
    for word in found[0].replace("\\", "").split("|") if found else [""]:
        chosen = code.replace(found[0], word) if found else code
        yield re.sub(r"[\[\]]", "", chosen)


def is_command(code: str) -> bool:
    return bool(re.match(r"(sudo )?(\S+=\S+ )*(\.venv/bin/)?(vmnet|make|ssh) [\w.-]", code))


def accident(code: str) -> bool:
    """Tell whether a shell would redirect where the text means an arrow or a placeholder."""
    lexer = shlex.shlex(code, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError:
        return False
    pairs = zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False)
    return any(
        before.endswith(("-", "-/")) or not re.search(r"[./&]", after)
        for before, token, after in pairs
        if set(token) & set("<>") and set(token) <= set("<>&")
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_every_command_line_in_the_docs_is_taken_by_the_parser(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (HOUSE / "Makefile").read_text(), re.MULTILINE))
    found = []
    for number, code in lines_of(page.read_text(encoding="utf-8")):
        for line in variants(code):
            # An alternative in brackets does not count twice: what is only named may lack words.
            why = [f"`vmnet {c}`: {why}" for c, why in commands_in(line) if why]
            why += [
                f"`make {word}`: no such target"
                for word in re.findall(r"^(?:sudo )?make ([\w-]+)", line)
                if word not in targets
            ]
            if is_command(line) and accident(line):
                why.append(f"`{line}`: the shell takes this > for a redirect")
            found += [f"{page.name}:{number}: {each}" for each in why]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_no_text_of_vmnet_shows_an_arrow_that_a_shell_would_redirect(source: Path) -> None:
    shown = re.compile(r"(?<![\w./:-])vmnet explain [^;,`\n]*")
    assert not [t.place for t in texts(source) for c in shown.findall(t.text) if accident(c)]


@pytest.mark.parametrize(
    ("code", "is_one"),
    [
        ("vmnet explain web1 -> db", True),
        ("vmnet explain web1 -/> db1", True),
        ("vmnet logs <vm>", True),
        ("vmnet explain 'web1 -> db'", False),
        ("vmnet export ssh-config > lab.ssh; ssh -F lab.ssh web", False),
        ("vmnet explain web1 db", False),
    ],
)
def test_a_redirect_by_accident_is_told_from_one_that_is_meant(code: str, is_one: bool) -> None:  # noqa: FBT001
    assert accident(code) == is_one
